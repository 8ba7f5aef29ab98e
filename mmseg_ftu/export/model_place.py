"""Where a model folder may be written, and which of its files an export wrote."""

import json
from pathlib import Path

from mmseg_ftu.engine.model_folder import (
    CARD,
    CONFIG,
    FACTS,
    PICTURES,
    WEIGHTS,
    read_facts,
)
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import digest_of, is_empty, is_own_picture
from mmseg_ftu.prepared_folder import TABLE

MADE_BY = 'mmseg_ftu'
#: Files that people may edit, whose SHA-256 is noted: an edited one is not replaced.
EDITABLE = CARD, CONFIG


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise ValueError unless a model folder may be written there."""
    if folder.is_symlink():
        raise ValueError(f'{folder} is a link: name the folder itself')
    if folder.is_file():
        raise ValueError(f'{folder} is a file: name a folder')
    if Path.cwd().is_relative_to(folder.absolute()):
        raise ValueError(f'{folder} is or holds the folder you are in: name another')
    for parent in folder.parents:
        is_model = all((parent / name).is_file() for name in (WEIGHTS, CONFIG, FACTS))
        is_data = (parent / TABLE).is_file() and (parent / 'images').is_dir()
        if is_model or is_data:
            raise ValueError(
                f'{folder} lies in {parent}, a model folder or prepared images: name '
                'another'
            )
    if is_empty(folder):
        return
    try:
        own = json.loads((folder / FACTS).read_text('utf-8'))['made_by'] == MADE_BY
    except (OSError, ValueError, KeyError, TypeError):
        own = False
    if not own:
        raise ValueError(f'{folder} is not empty and no model folder: name another')
    known = {WEIGHTS, CONFIG, FACTS, CARD, PICTURES}
    added = sorted(path.name for path in folder.iterdir() if path.name not in known)
    added += sorted(p.name for p in folder.glob(f'{PICTURES}/*') if not is_of_export(p))
    if added:
        raise ValueError(
            f'{folder} holds files that were added to it: {some_of(added)}; move them '
            'away'
        )
    if not overwrite:
        raise ValueError(f'{folder} is there already: name another, or --overwrite')
    edited = [name for name in sorted(known) if _is_edited(folder, name)]
    if edited:
        raise ValueError(
            f'{folder}: {some_of(edited)} was changed since it was exported: keep it '
            'elsewhere and remove it here, or name another folder'
        )


def _is_edited(folder: Path, name: str) -> bool:
    """Tell whether a file of a model folder is another than was exported."""
    path = folder / name
    if path.is_symlink():
        return True
    digests = read_facts(folder).get('digests')
    said = digests.get(name) if isinstance(digests, dict) else None
    return path.is_file() and said is not None and digest_of(path) != said


def is_own_name(picture: Path) -> bool:
    """Tell whether a picture is named as `export_model` does."""
    return picture.suffix == '.png' and picture.stem.isdigit()


def is_of_export(picture: Path) -> bool:
    """Tell whether `export_model` wrote a picture: by its name and the mark in it."""
    if not is_own_name(picture) or picture.is_symlink():
        return False
    with open(picture, 'rb') as file:
        return is_own_picture(file.read(200))
