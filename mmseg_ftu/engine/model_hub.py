"""Model folders on the Hugging Face Hub, through its cache.

``hf://OWNER/REPO`` is a repository's newest state, ``hf://OWNER/REPO@REVISION`` that of
a branch, a tag or a commit. What is in the cache needs no network if the revision is a
commit or ``HF_HUB_OFFLINE=1`` is set.
"""

import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

HUB = 'hf://'
ADDRESS = re.compile(r'hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?')


class Address(NamedTuple):
    """What ``hf://OWNER/REPO[@REVISION]`` says.

    Attributes:
        repository: ``OWNER/REPO``.
        revision: Branch, tag or commit; None for the newest state.
    """

    repository: str
    revision: str | None


def parse_address(name: str) -> Address:
    """Read ``hf://OWNER/REPO[@REVISION]``.

    Raises:
        ValueError: If it is something else.
    """
    found = ADDRESS.fullmatch(name)
    if found is None:
        raise ValueError(
            f'{name!r}: expected hf://OWNER/REPO or hf://OWNER/REPO@REVISION'
        )
    return Address(found[1], found[2])


@cache  # one state of a branch for config, weights and record
def download_model(name: str, files: tuple[str, ...]) -> Path:
    """Return the folder in the cache with the given files of a repository.

    Args:
        name: ``hf://OWNER/REPO[@REVISION]``.
        files: Names of the files; others are not downloaded.

    Raises:
        FileNotFoundError: If it is not in the cache and cannot be downloaded.
        ValueError: If the name is another one.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
    )

    repository, revision = parse_address(name)
    if revision and re.fullmatch('[0-9a-f]{40}', revision):  # a commit never changes
        with suppress(LocalEntryNotFoundError):
            folder = Path(
                snapshot_download(repository, revision=revision, local_files_only=True)
            )
            if all((folder / file).exists() for file in files):
                return folder
    page = f'{constants.ENDPOINT}/{repository}'
    try:
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=[*files])
        )
    except GatedRepoError as error:
        raise FileNotFoundError(
            f'{name}: the repository is gated. Log in at {page} and accept its '
            'conditions there; then run `hf auth login` on this machine, or set '
            'HF_TOKEN'
        ) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f'{name} is not in the cache {constants.HF_HUB_CACHE} and could not be '
            f'downloaded ({type(error).__name__}: {reason}). On a machine with a '
            f'network run `hf download {repository}` and copy that folder here; then '
            'give its path'
        ) from error
