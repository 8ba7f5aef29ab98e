"""``prediction.json``: what a prediction folder was made with; it marks it as ours."""

import json
from pathlib import Path
from typing import Any

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import is_empty

FILE = 'prediction.json'
MADE_BY = 'mmseg_ftu'
LAYOUT = 2  # 1 had records that list no files


def read_settings(folder: Path) -> dict[str, Any]:
    """Return what a prediction folder says of itself; empty for a new folder.

    Raises:
        ValueError: If the folder is not empty and predict did not make it, if another
            version did, or its settings are damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{folder} is a file: give a folder as --output')
    file = folder / FILE
    if not file.is_file():
        if not is_empty(folder, also=['.lock']):
            raise ValueError(
                f'{folder} is not empty and was not made by predict: give a new folder '
                f'as --output, for example {folder / "predictions"}'
            )
        return {}
    try:
        settings = dict(json.loads(file.read_text(encoding='utf-8')))
    except (ValueError, TypeError) as error:
        raise ValueError(f'{file}: damaged ({error}): give another --output') from error
    if settings.get('made_by') != MADE_BY:
        raise ValueError(f'{file} was not made by predict: give another --output')
    if settings.get('layout') != LAYOUT:
        raise ValueError(
            f'{folder} was made by another version of mmseg_ftu (layout '
            f'{settings.get("layout")}, this one writes {LAYOUT}) and does not list '
            'its files: give another --output'
        )
    return settings


def changed_settings(
    there: dict[str, Any], settings: dict[str, Any], about: dict[str, Any]
) -> list[str]:
    """Return the names of the settings that differ, apart from what is only told."""
    told = {*about, 'made_by', 'layout'}
    return sorted(
        key for key in {*settings, *there} - told if there.get(key) != settings.get(key)
    )


def write_settings(
    folder: Path, settings: dict[str, Any], about: dict[str, Any]
) -> None:
    """Write ``prediction.json``."""
    text = dict(made_by=MADE_BY, layout=LAYOUT, **about, **settings)
    write_bytes(folder / FILE, json.dumps(text, indent=2).encode())
