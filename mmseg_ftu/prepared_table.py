"""The table of a prepared folder, ``folds.csv``: columns, rows, and names for them.

The columns are declared here only. ``prepared_folder`` says where the table lies.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.tables import (
    id_fault,
    number_fault,
    read_table,
    whole_number,
)

ORGANS = ('kidney', 'largeintestine', 'lung', 'prostate', 'spleen')
DATA_SOURCES = ('HPA', 'Hubmap')  # as spelt in the competition's files
SHAPE_COLUMNS = ('img_height', 'img_width')  # of the original image, px
OF_DONORS = ('age', 'sex', 'group')  # they shape the folds and are not read again
COLUMNS = (
    *('id', 'organ', 'data_source', *SHAPE_COLUMNS, 'pixel_size'),
    *OF_DONORS,
    'fold',
)
NEEDED = tuple(name for name in COLUMNS if name not in OF_DONORS)
SHOWN = 10  # faults in a message


@dataclass(frozen=True)
class PreparedImage:
    """One row of the table.

    Attributes:
        id: Plain file name without extension.
        organ: Organ such as ``kidney``; ``''`` where the table has none.
        data_source: Data source such as ``HPA``; ``''`` where the table has none.
        shape: Height and width of the original image, px; None where unknown.
        pixel_size: Pixel size of the original image, um/px; None where unknown.
        fold: Fold in which the image is held out, 0-based; None where unknown.
    """

    id: str
    organ: str = ''
    data_source: str = ''
    shape: tuple[int, int] | None = None
    pixel_size: float | None = None
    fold: int | None = None

    @property
    def original_shape(self) -> tuple[int, int]:
        """Height and width of the original image, px.

        Raises:
            ValueError: If they are unknown.
        """
        if self.shape is None:
            raise ValueError(
                f'image {self.id!r}: the table does not tell its size; fill in '
                + ' and '.join(SHAPE_COLUMNS)
            )
        return self.shape

    @property
    def key(self) -> str:
        """Name of the image across folders, see `image_key`."""
        return image_key(self.id, self.original_shape, self.data_source)


def read_images(
    path: Path, needed: Collection[str] = NEEDED, content: bytes | None = None
) -> tuple[PreparedImage, ...]:
    """Read a table of images.

    Args:
        path: The CSV file: a prepared folder's, or one that names its columns alike.
        needed: Columns that must be there. Sizes and folds that are needed must not be
            blank either.
        content: The bytes of the file where it has been read already.

    Returns:
        The images, in the order of the rows.

    Raises:
        ValueError: If it is not a table, columns are missing, or cells are faulty; the
            message lists the faults with their rows.
    """
    frame = read_table(path, content)
    if missing := sorted({'id', *needed} - set(frame.columns)):
        raise ValueError(
            f'{path}: columns are missing: {", ".join(missing)}; it has '
            + ', '.join(frame.columns)
        )
    rows: list[dict[str, str]] = [
        {str(column): text for column, text in row.items()}
        for row in frame.to_dict('records')
    ]
    faults = [
        f'{path} row {number}, id {row["id"]}: {text}'
        for number, row in enumerate(rows, start=1)
        for text in row_faults(row, needed)
    ]
    if faults:
        more = len(faults) - SHOWN
        rest = [f'and {more} more faults'] if more > 0 else []
        raise ValueError('\n'.join([*faults[:SHOWN], *rest]))
    return tuple(image_of(row) for row in rows)


def row_faults(row: Mapping[str, str], needed: Collection[str] = ()) -> list[str]:
    """Say what is wrong with the cells of a row, and what to do.

    Args:
        row: Stripped text of the cells by column. Columns may be missing.
        needed: Columns of sizes and folds that must not be blank.
    """
    texts = [
        id_fault(row['id']),
        _shape_fault(row, needed),
        number_fault('pixel_size', row.get('pixel_size', '')),
        _fold_fault(row, needed),
    ]
    return [text for text in texts if text]


def image_of(row: Mapping[str, str]) -> PreparedImage:
    """Return the image of a row in which `row_faults` finds none."""
    shape = [row.get(name, '') for name in SHAPE_COLUMNS]
    pixel_size, fold = row.get('pixel_size', ''), row.get('fold', '')
    return PreparedImage(
        id=row['id'],
        organ=row.get('organ', ''),
        data_source=row.get('data_source', ''),
        shape=(whole_number(shape[0]), whole_number(shape[1])) if any(shape) else None,
        pixel_size=float(pixel_size) if pixel_size else None,
        fold=whole_number(fold) if fold else None,
    )


def table_bytes(frame: pd.DataFrame) -> bytes:
    """Return the file's content for a frame with the columns `COLUMNS`."""
    text: str = frame[list(COLUMNS)].to_csv(index=False, lineterminator='\n')
    return text.encode()


def parse_fold(fold: int | str) -> int:
    """Return a fold as a number.

    Args:
        fold: A number, or its digits as a config gets them from the environment.

    Raises:
        ValueError: If it is not a whole number, or is negative.
    """
    try:
        number = int(str(fold))
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(
            f'HuBMAPDataset: fold={fold!r} is not a whole number from 0 (configs take '
            'it from the environment variable FOLD)'
        )
    return number


def folds_id(folds: Mapping[str, int]) -> str:
    """Name a split of images into folds.

    Args:
        folds: Fold of each image (0-based) by id, for all rows of the table.

    Returns:
        12 hexadecimal digits; the same for the same ids and folds, whatever their
        order.
    """
    return _digest(sorted((str(name), int(fold)) for name, fold in folds.items()))


def image_key(name: str, shape: Iterable[int], data_source: str) -> str:
    """Name an image across folders, whatever its size and stains there.

    Args:
        name: Id of the image.
        shape: Height and width of the original, px.
        data_source: Data source such as ``HPA``, in any case.

    Returns:
        12 hexadecimal digits.
    """
    return _digest([name, [int(side) for side in shape], data_source.lower()])


def _shape_fault(row: Mapping[str, str], needed: Collection[str]) -> str | None:
    texts = [row.get(name, '') for name in SHAPE_COLUMNS]
    may_be_blank = not {*SHAPE_COLUMNS} & {*needed}
    if may_be_blank and not any(texts):
        return None
    try:
        if min(whole_number(text) for text in texts) >= 1:
            return None
    except ValueError:
        pass
    return (
        f'img_height x img_width is {" x ".join(texts)}; give whole pixels'
        + ' or leave them blank' * may_be_blank
    )


def _fold_fault(row: Mapping[str, str], needed: Collection[str]) -> str | None:
    text = row.get('fold', '')
    if not text and 'fold' not in needed:
        return None
    try:
        whole_number(text)
    except ValueError:
        return f'fold is {text!r}; give a whole number'
    return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
