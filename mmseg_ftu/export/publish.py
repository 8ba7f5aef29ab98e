"""Send a model folder to the Hugging Face Hub."""

import logging
import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
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
    weights_path,
)
from mmseg_ftu.engine.model_hub import HUB, parse_address
from mmseg_ftu.export.hub_repository import HubRepository
from mmseg_ftu.export.licences import OPTIONS, doubt_of_sharing, spdx_of
from mmseg_ftu.export.model_place import MADE_BY, is_of_export
from mmseg_ftu.inference.predictor import FTUPredictor
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.sample_tissue import draw_sample


def publish(
    folder: Path,
    address: str,
    *,
    dry_run: bool = False,
    private: bool = False,
    overwrite: bool = False,
    message: str | None = None,
) -> None:
    """Send a model folder to a repository, which is made where there is none.

    Only the files that ``mmseg-ftu export model`` writes are sent. Pictures of an
    earlier export that the folder has not are removed there.

    Args:
        folder: The model folder.
        address: ``hf://OWNER/REPO[@BRANCH]``.
        dry_run: Say what would be sent, and send nothing.
        private: Make a new repository private, and refuse a public one.
        overwrite: Replace files of the repository that `publish` did not send.
        message: Message of the commit; None names the model.

    Raises:
        ValueError: If the folder may not be published as it is, or the address is none.
        OSError: If the Hub cannot be reached or refuses.
    """
    repository, branch = parse_address(address)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f'{address}: no name of a repository ({error})') from error
    if branch and (re.fullmatch('[0-9a-f]{40}|refs/.*', branch) or branch[0] in '-/'):
        raise ValueError(f'{address}: {branch} cannot be written to: name a branch')
    facts = check_publishable(folder)
    if doubt := doubt_of_sharing(facts['license'], facts['data_license']):
        print_log(doubt, 'current', logging.WARNING)
    files = files_of(folder)
    lines = [f'{name}  {(folder / name).stat().st_size:,} bytes' for name in files]
    target = f'{HUB}{repository}' + (f'@{branch}' if branch else '')
    print_log('\n  '.join([f'{target}, {len(files)} files:', *lines]), 'current')
    if dry_run:
        print_log('--dry-run: nothing was sent', 'current')
        return
    there = HubRepository(repository, branch)
    there.open(private)
    if not overwrite:
        there.refuse_files_of_others(files)
    commit = there.send(folder, files, message or str(facts['name']))
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
    missing = [option for key, option in OPTIONS.items() if not facts.get(key)]
    if missing:
        raise ValueError(
            f'{folder}: {FACTS} does not say the licence of '
            + ' and '.join(
                'the weights' if o == '--license' else 'the data' for o in missing
            )
            + f': export it again with {" and ".join(missing)}. What may be published '
            'depends on both'
        )
    for key, option in OPTIONS.items():
        spdx_of(str(facts[key]), option)
    if not (folder / CARD).is_file():
        raise ValueError(f'{folder}: {CARD}, the model card, is missing')
    check_card(folder)
    weights_path(folder)
    name = facts.get('name')
    if facts.get('made_by') != MADE_BY or not isinstance(name, str) or not name:
        raise ValueError(f'{folder}: {FACTS} was changed: export it again')
    try:
        FTUPredictor(folder, device='cpu')(draw_sample(0, 256).rgb)
    except (ValueError, OSError) as error:
        raise ValueError(f'{folder}: the model cannot be used ({error})') from error
    return facts


def check_card(folder: Path) -> None:
    """Raise ValueError unless the card is one that the Hub can show.

    It begins with the block that the Hub reads, and its pictures are there.
    """
    try:
        text = (folder / CARD).read_text('utf-8')
        block = re.match(r'---\n(.*?\n)---\n', text, re.DOTALL)
        head = yaml.safe_load(block[1]) if block else None
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f'{folder / CARD}: can not be read ({error})') from error
    if not isinstance(head, dict) or 'license' not in head:
        raise ValueError(
            f'{folder / CARD}: it does not begin with the block that the Hub reads, '
            'with the licence: export the model again'
        )
    shown = re.findall(rf'\(({PICTURES}/[^)\s]+)\)', text)
    missing = [name for name in shown if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f'{folder / CARD} shows {some_of(missing)}, which is missing: export the '
            'model again'
        )


def files_of(folder: Path) -> list[str]:
    """Return the names of the files to send.

    Raises:
        ValueError: If one is a link, or a picture was added to the folder.
    """
    pictures = sorted((folder / PICTURES).glob('*'))
    added = [p.name for p in pictures if not (p.is_symlink() or is_of_export(p))]
    if added:
        raise ValueError(
            f'{folder}/{PICTURES} holds files that were added to it or replaced: '
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
