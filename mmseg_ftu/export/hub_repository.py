"""A repository of the Hugging Face Hub that a model folder is sent to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)

from mmseg_ftu.engine.model_folder import FACTS, PICTURES
from mmseg_ftu.export.model_place import MADE_BY, is_own_name
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import is_own_json

#: What requests raise, which differs between versions of huggingface_hub.
FAULTS: tuple[type[Exception], ...] = (
    *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)),
    LocalTokenNotFoundError,
    OSError,
)
NOT_ALLOWED, CHANGED = (401, 403, 404), (409, 412)  # HTTP status


class HubRepository:
    """A repository and its branch.

    Args:
        name: ``OWNER/REPO``.
        branch: Name of the branch; None for the main one.
        endpoint: Address of the Hub; None takes that of ``HF_ENDPOINT``.
    """

    def __init__(
        self, name: str, branch: str | None, endpoint: str | None = None
    ) -> None:
        self.name, self.branch = name, branch
        self._api = HfApi(endpoint)
        self._files: list[str] = []
        self._commit: str | None = None

    def open(self, private: bool) -> None:
        """Look at what is there; what is not is made.

        Args:
            private: Make a new repository private.

        Raises:
            ValueError: If it is there and public, but ought to be private.
            OSError: If the Hub cannot be reached or refuses.
        """
        with self._explained():
            try:
                is_public = self._api.repo_info(self.name).private is False
            except RepositoryNotFoundError:
                is_public = False
                self._api.create_repo(self.name, private=private or None, exist_ok=True)
        if private and is_public:
            raise ValueError(
                f'--private: {self.name} is there already and public: make it private '
                'on its page, or name another'
            )
        with self._explained():
            if self.branch:
                self._api.create_branch(self.name, branch=self.branch, exist_ok=True)
            found = self._api.model_info(self.name, revision=self.branch)
        self._files = [entry.rfilename for entry in found.siblings or ()]
        self._commit = found.sha

    def refuse_files_of_others(self, files: Sequence[str]) -> None:
        """Raise ValueError if files would be replaced that `send` did not write."""
        in_the_way = [name for name in files if name in self._files]
        if not in_the_way or self._is_own():
            return
        raise ValueError(
            f'{self.name} holds {some_of(in_the_way)}, and its {FACTS} does not say '
            'that `publish` sent them: name another repository, or --overwrite'
        )

    def send(self, folder: Path, files: Sequence[str], message: str) -> str:
        """Send files in one commit; pictures of an earlier one are removed.

        Args:
            folder: The folder.
            files: Names of its files.
            message: Message of the commit.

        Returns:
            The address of the commit.

        Raises:
            OSError: If the Hub cannot be reached or refuses, or the branch was changed
                since `open`.
        """
        stale = [
            name
            for name in self._files
            if PurePosixPath(name).parent.as_posix() == PICTURES
            and is_own_name(Path(name))
            and name not in files
        ]
        with self._explained():
            commit = self._api.upload_folder(
                repo_id=self.name,
                folder_path=folder,
                revision=self.branch,
                parent_commit=self._commit,
                commit_message=message,
                allow_patterns=list(files),
                delete_patterns=(stale if self._is_own() else []) or None,
            )
        return str(commit.commit_url)

    def _is_own(self) -> bool:
        """Tell whether `send` wrote what is there."""
        if FACTS not in self._files:
            return False
        with TemporaryDirectory() as folder, self._explained():
            path = self._api.hf_hub_download(
                self.name, FACTS, revision=self._commit, local_dir=folder
            )
            content = Path(path).read_bytes()
        return is_own_json(made_by=MADE_BY)(content)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what a fault of the Hub means."""
        try:
            yield
        except FAULTS as error:
            raise OSError(self._said(error)) from error
        except ValueError as error:  # of the name, or of the card
            raise ValueError(self._said(error)) from error

    def _said(self, error: Exception) -> str:
        reason = (str(error).strip() or 'no reason given').splitlines()[0]
        status = getattr(getattr(error, 'response', None), 'status_code', None)
        advice = 'No file was changed there; try again later'
        if isinstance(error, LocalTokenNotFoundError) or status in NOT_ALLOWED:
            advice = (
                'Log in with `hf auth login`, or set HF_TOKEN to a token that may '
                'write there'
            )
        elif status in CHANGED:
            advice = 'It was changed at the same time: look at it, and publish again'
        elif not isinstance(error, FAULTS):
            advice = 'Mend the name or the card'
        return (
            f'{self._api.endpoint} did not take {self.name} ({type(error).__name__}: '
            f'{reason}). {advice}'
        )
