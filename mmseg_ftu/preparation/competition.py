"""Prepare the Kaggle competition "HuBMAP + HPA - Hacking the Human Body" (2022).

Source: ``train.csv`` and ``train_images/<id>.tiff``. Resized copies as ``.png`` or
``.jpg`` are accepted too, as people publish them.
"""

from pathlib import Path

import pandas as pd

from mmseg_ftu.io.images import find_images
from mmseg_ftu.io.raster import MAX_PIXELS
from mmseg_ftu.io.tables import (
    id_fault,
    number_fault,
    read_table,
    repeated_ids,
    whole_number,
)
from mmseg_ftu.preparation.checking import mask_faults
from mmseg_ftu.preparation.given_split import GivenSplit
from mmseg_ftu.preparation.number_limits import require_between
from mmseg_ftu.preparation.prepare_folder import prepare_folder
from mmseg_ftu.preparation.records import Fault, PreparationError, Record, RleMask
from mmseg_ftu.prepared_table import DATA_SOURCES, ORGANS
from mmseg_ftu.recipe import StainStep

REQUIRED = ('id', 'organ', 'data_source', 'img_height', 'img_width', 'rle')
OPTIONAL = ('pixel_size', 'age', 'sex')


def prepare_hubmap(
    source: Path,
    target: Path,
    size: int = 768,
    folds: int = 5,
    seed: int = 0,
    workers: int = 2,
    stain: StainStep | None = None,
    resized: bool = False,
    overwrite: bool = False,
    split: GivenSplit | None = None,
) -> str:
    """Prepare the competition folder.

    Args:
        source: Folder with ``train.csv`` and ``train_images``.
        target: Folder to write; not inside the source.
        size: Longer side of the images to train on, px.
        folds: Number of folds.
        seed: Seed of the folds.
        workers: Threads; 0 works in the calling one.
        stain: Stain normalisation; None for none.
        resized: Accept images that are resized copies of those in ``train.csv``.
        overwrite: Accept a target begun with other settings.
        split: Split that was given, instead of ``folds``; None for none.

    Returns:
        A summary for people.

    Raises:
        PreparationError: With all faults of the source, before anything is written.
    """
    require_between('--seed', seed, 0)
    split = split or GivenSplit()
    records, faults = list_competition(source, split.column)
    records, of_split = split.apply(records)
    settings = {
        'tool': 'prepare_hubmap',
        'source': source.resolve().name,
        'size': size,
        **split.settings(folds),
        'seed': seed,
        'resized': resized,
        'empty': 'refuse',
    }
    if stain:
        settings['stain'] = stain.to_dict()
    faults += of_split
    return prepare_folder(source, target, records, faults, settings, workers, overwrite)


def list_competition(
    source: Path, fold_column: str = ''
) -> tuple[list[Record], list[Fault]]:
    """List the rows of ``train.csv`` with the faults seen without opening an image.

    Args:
        source: Folder with ``train.csv`` and ``train_images``.
        fold_column: Column of the table with folds; '' for none.

    Raises:
        PreparationError: If the table or the folder of images cannot be used at all.
    """
    table, images = source / 'train.csv', source / 'train_images'
    frame = _read_table(table, (fold_column,) if fold_column else ())
    if not images.is_dir():
        raise PreparationError(f'{images}: no such folder; it holds <id>.tiff')
    repeated = repeated_ids(frame['id'])
    found = find_images(images)
    records, faults = [], []
    for row, cells in enumerate(frame.to_dict('records'), start=1):
        values: dict[str, str] = {str(column): text for column, text in cells.items()}
        place = f'{table.name} row {row}, id {values["id"]}'
        texts = _row_faults(values)
        shape, text = _shape(values)
        texts += [text] if text else []
        if values['id'] in repeated:
            texts.append('the id occurs more than once; keep one of the rows')
        paths = found.get(values['id'], [])
        if not id_fault(values['id']) and len(paths) != 1:
            texts.append(_path_fault(images, values['id'], paths))
        if shape:
            mask = RleMask(values['rle'], shape)
            if len(paths) == 1:
                details = _details(values)
                if fold_column:
                    details['fold'] = values[fold_column]
                record = Record(
                    row, place, values['id'], paths[0], mask, shape, details
                )
                records.append(record)
            else:
                texts += mask_faults(mask, shape)
        faults += [Fault(row, f'{place}: {text}') for text in texts]
    return records, faults


def _read_table(path: Path, also: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read ``train.csv`` as stripped text.

    Args:
        path: The table.
        also: Further columns that are needed.

    Raises:
        PreparationError: If it is not there, is not a table, or lacks columns or rows.
    """
    try:
        frame = read_table(path)
    except FileNotFoundError:
        raise PreparationError(
            f'{path}: no such file; name the folder that holds train.csv'
        ) from None
    except ValueError as error:
        raise PreparationError(str(error)) from None
    missing = [name for name in (*REQUIRED, *also) if name not in frame]
    if missing:
        raise PreparationError(
            f'{path} lacks the columns {", ".join(missing)}; it has '
            + ', '.join(frame.columns)
        )
    for name in OPTIONAL:
        if name not in frame:
            frame[name] = ''
    return frame


def _row_faults(values: dict[str, str]) -> list[str]:
    """Check id, names and numbers of a row."""
    texts = [id_fault(values['id'])]
    if values['organ'].lower() not in ORGANS:
        texts.append(
            f'unknown organ {values["organ"]!r}; known: {", ".join(ORGANS)} '
            '(mmseg-ftu prepare pairs takes any)'
        )
    if _canonical_source(values['data_source']) is None:
        texts.append(
            f'unknown data_source {values["data_source"]!r}; known: '
            + ', '.join(DATA_SOURCES)
        )
    texts.append(number_fault('pixel_size', values['pixel_size']))
    texts.append(number_fault('age', values['age'], zero=True))
    return [text for text in texts if text]


def _shape(values: dict[str, str]) -> tuple[tuple[int, int] | None, str | None]:
    """Return the shape on record, or what is wrong with it."""
    texts = [values['img_height'], values['img_width']]
    try:
        height, width = (whole_number(text) for text in texts)
    except ValueError:
        return None, f'img_height x img_width is {" x ".join(texts)}; give whole pixels'
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        return None, (
            f'img_height x img_width is {height} x {width}: not between 1 and '
            f'{MAX_PIXELS} pixels'
        )
    return (height, width), None


def _path_fault(images: Path, name: str, paths: list[Path]) -> str:
    """Say that there is no image, or more than one."""
    if paths:
        names = ', '.join(path.name for path in paths)
        return f'several images in {images}: {names}; keep one'
    return f'no image {name}.tiff in {images}; fetch it or remove the row'


def _canonical_source(name: str) -> str | None:
    """Return the competition's spelling, or None."""
    return {known.lower(): known for known in DATA_SOURCES}.get(name.lower())


def _details(values: dict[str, str]) -> dict[str, str]:
    """Return what ``folds.csv`` says about an image beside id and shape."""
    return {
        'organ': values['organ'].lower(),
        'data_source': _canonical_source(values['data_source']) or '',
        **{name: values[name] for name in OPTIONAL},
    }
