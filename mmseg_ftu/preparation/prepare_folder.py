"""Check all records, then write the prepared folder.

Two passes: the first decodes every image and mask and collects all faults, the second
decodes again and writes. Decoding twice costs seconds (9.4 GB of uncompressed TIFF, the
second time mostly out of the system's cache), and of a source with faults nothing at
all is written.

A run that is interrupted goes on where it was; see ``journal``.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from mmseg_ftu.io.atomic_files import remove_leftovers, write_png
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.resizing import INTERPOLATION, resize_mask, target_shape
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.preparation.checking import add_folds, check_pixels, decoded_pixels
from mmseg_ftu.preparation.folder_lock import held, require_free
from mmseg_ftu.preparation.journal import Journal
from mmseg_ftu.preparation.number_limits import LARGEST_SIZE, require_between
from mmseg_ftu.preparation.records import Fault, PreparationError, Record, file_key
from mmseg_ftu.preparation.staining import stain_summary
from mmseg_ftu.prepared_folder import FOLDERS, SUFFIX, FolderPaths
from mmseg_ftu.recipe import prepare_image, stain_of
from mmseg_ftu.version import __version__

LAYOUT = 1  # raise it when other pixels would be written for the same source


def prepare_folder(
    source: Path,
    folder: Path,
    records: list[Record],
    faults: list[Fault],
    settings: dict[str, Any],
    workers: int,
    overwrite: bool,
    budget: PixelBudget | None = None,
) -> str:
    """Write the prepared folder, or what of it is missing or outdated.

    Args:
        source: Folder of the originals; the prepared folder must lie outside.
        folder: Folder to write: new, empty, or made by an earlier run.
        records: The images.
        faults: Faults found while listing them.
        settings: ``size`` (px or None), ``folds``, ``seed``, ``resized``, ``empty``
            (refuse, keep or skip), ``stain`` (of ``StainStep.to_dict``) and whatever
            else shaped the records; kept in the manifest.
        workers: Threads; 0 works in the calling one.
        overwrite: Accept a folder begun with other settings.
        budget: Bounds what the threads decode at once; None takes the default.

    Returns:
        A summary for people.

    Raises:
        PreparationError: With all faults, before anything is written.
    """
    if settings['size'] is not None:
        require_between('--size', settings['size'], 1, LARGEST_SIZE, 'px')
    require_between('--workers', workers, 0)
    _refuse_nesting(source, folder)
    require_free(folder)
    journal, paths = Journal(folder), FolderPaths(folder)
    journal.require(settings, overwrite)
    made_of = {record.id: _fingerprint(record, settings) for record in records}
    current = {
        name: made
        for name, made in made_of.items()
        if journal.fingerprints.get(name) == made
        and _has_files(paths, name, journal.sizes.get(name))
    }
    _refuse_others(paths, journal, made_of.keys() - current.keys(), overwrite)
    budget = budget or PixelBudget()
    table = _checked_table(records, current, faults, settings, workers, budget)
    outdated = set(table['id']) - set(current)
    todo = [record for record in records if record.id in outdated]
    is_finished = journal.finished and journal.settings == settings
    if not todo and is_finished and paths.has_table(table):
        return f'{folder} is finished already, nothing to do.\n{_summary(table)}'
    strays = _strays(paths, journal, set(table['id']))
    _refuse_edited(strays, overwrite)
    with held(folder, journal):
        journal.begin(settings, current, outdated)
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
            remove_leftovers(folder / name)
        remove_leftovers(folder)
        write = budget.limit(_writer(paths, settings), decoded_pixels)
        for record, failure in unordered_map(write, todo, workers, 'writing'):
            sizes = [path.stat().st_size for path in paths.files_of(record.id)]
            journal.add(record.id, made_of[record.id], sizes, failure)
        for path in strays:
            path.unlink(missing_ok=True)
        paths.write_table(table)
        journal.finish(_manifest(table, len(records), settings))
    summary = f'{folder}: wrote {len(todo)} of {len(table)} images.\n{_summary(table)}'
    stain = stain_of(settings, str(paths.manifest_path))
    return summary + stain_summary(stain, journal.stain_failures)


def _checked_table(
    records: list[Record],
    current: dict[str, str],
    faults: list[Fault],
    settings: dict[str, Any],
    workers: int,
    budget: PixelBudget,
) -> pd.DataFrame:
    """Check what is out of date; return ``folds.csv`` without skipped records."""
    unchecked = [record for record in records if record.id not in current]
    found, skipped = check_pixels(unchecked, settings, workers, budget)
    faults = faults + found
    kept = [record for record in records if record.id not in skipped]
    try:
        table = add_folds(kept, settings)
    except ValueError as error:  # beside other faults it may be their consequence
        faults = faults or [Fault(0, str(error))]
    if faults:
        lines = [text for _, text in sorted(faults)]
        count = f'{len(lines)} fault' + 's' * (len(lines) > 1)
        raise PreparationError('\n'.join([*lines, f'{count}; nothing was written.']))
    return table


def _refuse_nesting(source: Path, folder: Path) -> None:
    """Raise where one of the folders is, or lies in, the other."""
    source, target = source.resolve(), folder.resolve()
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise PreparationError(
            f'{folder} is, holds or lies in the source folder {source}; name a folder '
            'beside it'
        )
    for parent in target.parents:
        if FolderPaths(parent).is_finished:
            raise PreparationError(
                f'{folder} lies in the prepared folder {parent}; name a folder '
                'beside it'
            )


def _fingerprint(record: Record, settings: dict[str, Any]) -> str:
    """Return a text that changes with anything that the three files depend on."""
    parts = [LAYOUT, record.shape, file_key(record.image), record.mask.key()]
    parts += [settings[name] for name in ('size', 'resized', 'empty')]  # check again
    if settings.get('stain'):
        parts.append(settings['stain'])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _has_files(paths: FolderPaths, name: str, sizes: list[int] | None) -> bool:
    """Tell whether all files of an image are there, of the sizes on record."""
    files = paths.files_of(name)
    if not all(path.is_file() for path in files):
        return False
    return sizes is None or [path.stat().st_size for path in files] == sizes


def _refuse_others(
    paths: FolderPaths, journal: Journal, names: Iterable[str], overwrite: bool
) -> None:
    """Raise where an image would replace files that the tool did not write.

    Files that were edited or damaged since are refused too, unless ``overwrite`` is
    given.
    """
    for name in sorted(names):
        sizes = journal.sizes.get(name, [None] * len(FOLDERS))
        for path, size in zip(paths.files_of(name), sizes, strict=True):
            if not path.exists():
                continue
            if not journal.is_own(name):
                raise PreparationError(
                    f'{path} is in the way and was not written by this tool: move it '
                    'away, or name another folder'
                )
            if size not in (None, path.stat().st_size) and not overwrite:
                raise PreparationError(
                    f'{path} was edited or damaged since it was prepared: it has '
                    f'{path.stat().st_size} bytes and had {size}; move it away, or '
                    'pass --overwrite to make it again'
                )


def _writer(
    paths: FolderPaths, settings: dict[str, Any]
) -> Callable[[Record], str | None]:
    """Return the function that writes the three files of a record.

    It returns why the image could not be stain-normalised, if so.
    """
    stain = stain_of(settings, str(paths.manifest_path))

    def write(record: Record) -> str | None:
        shape = target_shape(record.shape, settings['size'])
        image, mask = read_image(record.image), record.mask.read()
        image, failure = prepare_image(image, shape, stain)
        write_png(paths.image_path(record.id), image)
        write_png(paths.mask_path(record.id), resize_mask(mask, shape))
        write_png(paths.mask_path(record.id, original=True), mask)
        return failure

    return write


def _strays(
    paths: FolderPaths, journal: Journal, ids: set[str]
) -> dict[Path, int | None]:
    """Return the tool's own files of images that are no longer listed.

    Each with the size on record (bytes), None where there is none.
    """
    found: dict[Path, int | None] = {}
    for i, kind in enumerate(FOLDERS):
        for path in sorted((paths.path / kind).glob(f'*{SUFFIX}')):
            if path.stem not in ids and journal.is_own(path.stem):
                sizes = journal.sizes.get(path.stem)
                found[path] = sizes[i] if sizes else None
    return found


def _refuse_edited(strays: Mapping[Path, int | None], overwrite: bool) -> None:
    """Raise where a file would be removed that somebody has worked on."""
    for path, size in strays.items():
        if size not in (None, path.stat().st_size) and not overwrite:
            raise PreparationError(
                f'{path} was edited since it was prepared, and its image is no longer '
                'listed, so it would be removed: move it away, or pass --overwrite'
            )


def _manifest(
    table: pd.DataFrame, listed: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """Describe how the folder was made."""
    return {
        'layout': LAYOUT,
        'settings': settings,
        'interpolation': INTERPOLATION,
        'counts': {
            'images': len(table),
            'left_out_as_empty': listed - len(table),
            'groups': int(table['group'].nunique()),
            'by_organ': _counts(table['organ']),
            'by_data_source': _counts(table['data_source']),
            'by_fold': _counts(table['fold']),
        },
        'versions': {
            'mmseg_ftu': __version__,
            'numpy': np.__version__,
            'opencv': cv2.__version__,
        },
    }


def _counts(column: pd.Series) -> dict[str, int]:
    """Count values, in sorted order."""
    counts = column.value_counts().sort_index()
    return {str(value): int(count) for value, count in counts.items()}


def _summary(table: pd.DataFrame) -> str:
    """Show the images of each organ and fold."""
    counts = pd.crosstab(table['organ'], table['fold'], margins=True)
    groups = table['group'].nunique()
    return (
        f'Images by organ and fold ({groups} groups kept together):\n'
        + counts.to_string()
    )
