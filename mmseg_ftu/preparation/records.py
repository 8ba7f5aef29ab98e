"""Records: what is to be prepared, and the faults found on the way."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from mmseg_ftu.io.images import read_mask
from mmseg_ftu.masks import rle
from mmseg_ftu.preparation.folds import donor_groups
from mmseg_ftu.prepared_table import COLUMNS


class PreparationError(ValueError):
    """The source cannot be prepared as it is; the message lists every fault."""


class Fault(NamedTuple):
    """A fault of the source.

    Attributes:
        row: Row of the table, from 1; 0 for faults of the whole.
        text: Sentence that says where, what, and what to do.
    """

    row: int
    text: str


@dataclass(frozen=True)
class RleMask:
    """A mask written as run lengths."""

    rle: str
    shape: tuple[int, int]

    def read(self) -> np.ndarray:
        """Decode the mask, ``(H, W)`` uint8."""
        return rle.decode(self.rle, self.shape)

    def key(self) -> str:
        """Return a text that changes with the mask."""
        return hashlib.sha256(self.rle.encode()).hexdigest()


@dataclass(frozen=True)
class FileMask:
    """A mask file; ``foreground`` and ``ignore`` as in ``read_mask``."""

    path: Path
    foreground: tuple[int, ...] | str
    ignore: int | None

    def read(self) -> np.ndarray:
        """Read the mask, ``(H, W)`` uint8."""
        return read_mask(self.path, self.foreground, self.ignore)

    def key(self) -> str:
        """Return a text that changes with the file or its meaning."""
        return f'{file_key(self.path)} {self.foreground} {self.ignore}'


class Mask(Protocol):
    """A mask that can be read when it is needed."""

    def read(self) -> np.ndarray:
        """Read the mask, ``(H, W)`` uint8: 0, 1, and 255 where it is ignored."""

    def key(self) -> str:
        """Return a text that changes with the mask or its meaning."""


@dataclass(frozen=True)
class Record:
    """One image of a data set.

    Attributes:
        row: Row of the table it comes from, from 1.
        place: How messages name it: ``'train.csv row 3, id 10044'``.
        id: Plain file name without extension.
        image: File of the image, maybe a resized copy.
        mask: Mask of the image at the original size.
        shape: Original height and width, px.
        details: ``organ``, ``data_source``, and where known ``pixel_size`` (um/px),
            ``age`` (years), ``sex`` and ``group``, as text.
    """

    row: int
    place: str
    id: str
    image: Path
    mask: Mask
    shape: tuple[int, int]
    details: dict[str, str]


def require_no_faults(faults: list[Fault]) -> None:
    """Raise where there are faults.

    Raises:
        PreparationError: With all of them, in the order of rows.
    """
    if faults:
        lines = [text for _, text in sorted(faults)]
        count = f'{len(lines)} fault' + 's' * (len(lines) > 1)
        raise PreparationError('\n'.join([*lines, f'{count}; nothing was written.']))


def file_key(path: Path) -> str:
    """Return a text that changes when the file does, without reading it."""
    status = path.stat()
    return f'{path.name} {status.st_size} {status.st_mtime_ns}'


def records_table(records: list[Record]) -> pd.DataFrame:
    """Return the rows of ``folds.csv``, without folds yet, sorted as given."""
    names = [name for name in COLUMNS if name != 'fold']
    rows = [
        {name: record.details.get(name, '') for name in names}
        | dict(id=record.id, img_height=record.shape[0], img_width=record.shape[1])
        for record in records
    ]
    frame = pd.DataFrame(rows, dtype=object)
    blank = frame['group'] == ''
    frame['group'] = frame['group'].where(~blank, donor_groups(frame))
    return frame
