"""Send a model folder to the Hugging Face Hub."""

import hashlib
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmseg_ftu.engine.model_folder import (
    CARD,
    CONFIG,
    FACTS,
    PICTURES,
    WEIGHTS,
    find_model_folder,
    read_facts,
    read_model_config,
)
from mmseg_ftu.engine.model_hub import HUB, parse_address
from mmseg_ftu.export.model_folder import check_licences, is_own_name
from mmseg_ftu.io.listing import some_of

NEEDED = dict(license='--license', data_license='--data-license')


def publish(
    folder: Path,
    address: str,
    *,
    dry_run: bool = False,
    private: bool = False,
    message: str | None = None,
) -> None:
    """Send a model folder to a repository, which is made where there is none.

    Only the files that ``mmseg-ftu export model`` writes are sent. Pictures that the
    repository has and the folder has not are removed there.

    Args:
        folder: The model folder.
        address: ``hf://OWNER/REPO[@BRANCH]``.
        dry_run: Say what would be sent, and send nothing.
        private: Make a new repository private.
        message: Message of the commit; None names the model.

    Raises:
        ValueError: If the folder may not be published as it is, or the address is none.
        OSError: If the Hub cannot be reached or refuses.
    """
    repository, branch = parse_address(address)
    facts = check_publishable(folder)
    files = files_of(folder)
    lines = [f'{name}  {(folder / name).stat().st_size:,} bytes' for name in files]
    target = f'{HUB}{repository}' + (f'@{branch}' if branch else '')
    print_log('\n  '.join([f'{target}, {len(files)} files:', *lines]), 'current')
    if dry_run:
        print_log('--dry-run: nothing was sent', 'current')
        return
    commit = _send(folder, files, repository, branch, private, message or facts['name'])
    print_log(
        f'sent: {commit}. Use it with `mmseg-ftu predict {target} ...`', 'current'
    )


def check_publishable(folder: Path) -> dict[str, Any]:
    """Return what a folder says of its model, if it may be published.

    Raises:
        ValueError: If a licence is missing, a file was changed since the export, or
            the config could run code.
    """
    if str(folder).startswith(HUB) or not folder.is_dir():
        raise ValueError(f'{folder}: there is no such folder')
    read_model_config(find_model_folder(folder))
    facts = read_facts(folder)
    missing = [option for key, option in NEEDED.items() if not facts.get(key)]
    if missing:
        raise ValueError(
            f'{folder}: {FACTS} does not say the licence of '
            + ' and '.join(
                'the weights' if o == '--license' else 'the data' for o in missing
            )
            + f': export it again with {" and ".join(missing)}. What may be published '
            'depends on both'
        )
    check_licences(facts['license'], facts['data_license'])
    if not (folder / CARD).is_file():
        raise ValueError(f'{folder}: {CARD}, the model card, is missing')
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    if digest != facts.get('sha256'):
        raise ValueError(
            f'{folder}: {WEIGHTS} is not the file that was exported (its SHA-256 is '
            f'not that in {FACTS}): export it again'
        )
    return facts


def files_of(folder: Path) -> list[str]:
    """Return the names of the files to send.

    Raises:
        ValueError: If one is a link, or a picture was added to the folder.
    """
    pictures = sorted((folder / PICTURES).glob('*'))
    added = [path.name for path in pictures if not is_own_name(path)]
    if added:
        raise ValueError(
            f'{folder}/{PICTURES} holds files that were added to it: '
            f'{some_of(added)}; move them away'
        )
    files = [CARD, CONFIG, FACTS, WEIGHTS]
    files += [f'{PICTURES}/{path.name}' for path in pictures]
    links = [name for name in files if (folder / name).is_symlink()]
    if links or (folder / PICTURES).is_symlink():
        raise ValueError(
            f'{folder}: {some_of(links or [PICTURES])} is a link to something else: '
            'publish the folder that was exported'
        )
    return files


def _send(
    folder: Path,
    files: list[str],
    repository: str,
    branch: str | None,
    private: bool,
    message: str,
) -> str:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi()
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        if branch:
            api.create_branch(repository, branch=branch, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            revision=branch,
            commit_message=message,
            allow_patterns=files,
            delete_patterns=f'{PICTURES}/*',
        )
    except (HfHubHTTPError, LocalTokenNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise OSError(
            f'{constants.ENDPOINT} did not take {repository} ({type(error).__name__}: '
            f'{reason}). Log in with `hf auth login`, or set HF_TOKEN to a token that '
            'may write there'
        ) from error
    return str(commit.commit_url)
