"""Tables and files of masks by id: the steps that all layouts of masks share."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.images import find_images

TEXTS = ('organ', 'data_source')
SIZES = ('height', 'width')


def known_columns(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the columns of ``MaskSource.table``, as numbers where they are such."""
    clean = pd.DataFrame(index=table.index)
    for name in TEXTS:
        clean[name] = table.get(name, '')
    for name in ('pixel_size', *SIZES, *(['fold'] if 'fold' in table else [])):
        cells = table.get(name, pd.Series('', index=table.index))
        try:
            clean[name] = pd.to_numeric(cells)
            clean[name] = clean[name].astype(
                'float' if name == 'pixel_size' else 'Int64'
            )
        except (ValueError, TypeError) as error:
            raise ValueError(f'{path}: column {name}: {error}') from None
    return clean


def run_lengths(path: Path, table: pd.DataFrame) -> dict[str, str]:
    """Return the run lengths of a table."""
    if 'rle' not in table:
        raise ValueError(f'{path}: has no column rle, only {", ".join(table.columns)}')
    return dict(table.rle)


def files_by_id(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by stem; none where there is no folder.

    Raises:
        ValueError: If two files have one stem.
    """
    found = find_images(folder) if folder.is_dir() else {}
    for name, paths in found.items():
        if len(paths) > 1:
            raise ValueError(
                f'{folder}: {" and ".join(p.name for p in paths)} are both named '
                f'{name!r}; keep one'
            )
    return {name: paths[0] for name, paths in found.items()}


def refuse_missing(path: Path, names: list[str]) -> None:
    """Raise where the table lists ids without a file."""
    if names:
        raise ValueError(
            f'{path}: {len(names)} images of its table have no mask: '
            f'{", ".join(names[:5])}; predict or prepare again'
        )


def read_settings_file(path: Path) -> dict[str, Any]:
    """Read a JSON object of settings; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:  # of JSON or of Unicode
        raise ValueError(f'{path}: is not JSON ({error}); predict again') from None
    if not isinstance(settings, dict):
        raise ValueError(f'{path}: holds no settings; predict again')
    return settings
