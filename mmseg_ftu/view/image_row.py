"""What ``predictions.csv`` says of an image."""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.evaluation.mask_tables import read_settings_file
from mmseg_ftu.io.tables import read_by_id
from mmseg_ftu.units.unit_names import unit_name

TABLE, SETTINGS = 'predictions.csv', 'prediction.json'
THRESHOLD = 0.5  # where the table does not say it
TEXTS = ('data_source', 'patient', 'objects', 'foreground', 'stain_failure')


@dataclass(frozen=True)
class ImageRow:
    """What the table of a prediction folder says of an image.

    Attributes:
        id: Id of the image.
        path: File of the image; None if it is not known.
        organ: Organ; ``''`` if unknown.
        pixel_size: Pixel size, um/px; None if unknown.
        shape: Height and width of the image, px; None if unknown.
        threshold: Threshold of the mask, 0..1.
        fault: Reason why it was not predicted; None if it was.
        details: Further cells, as text, by column.
        called: What predict called its units; None is by organ.
    """

    id: str
    path: Path | None
    organ: str
    pixel_size: float | None
    shape: tuple[int, int] | None
    threshold: float
    fault: str | None
    details: dict[str, str]
    called: str | None = None

    @property
    def class_name(self) -> str:
        """Name of its units where no file says it."""
        return self.called or unit_name(self.organ)

    def describe(self) -> dict[str, Any]:
        """Return what the list of images shows, fit for JSON."""
        facts = {k: v for k, v in self.details.items() if v}
        return dict(id=self.id, organ=self.organ, fault=self.fault, **facts)


def read_rows(folder: Path) -> list[ImageRow]:
    """Read the table of a prediction folder.

    Raises:
        ValueError: If the folder has no such table, or it is damaged.
    """
    path = folder / TABLE
    if not folder.is_dir():
        raise ValueError(f'{folder}: there is no such folder; give that of predict')
    if not path.is_file():
        why = 'it was not made by predict'
        if (folder / SETTINGS).is_file():
            why = 'the run of predict that made it has not come to its end'
        raise ValueError(
            f'{folder}: has no {TABLE}, so {why}; give the folder that predict was '
            'told as --output'
        )
    table = read_by_id(path)
    called = _class_name(folder)
    return [_row(str(name), cells, called) for name, cells in table.iterrows()]


def _class_name(folder: Path) -> str | None:
    """Return what the settings of the folder call the units; None if nothing."""
    try:
        name = read_settings_file(folder / SETTINGS).get('class_name')
    except ValueError:  # the table tells all but this name
        return None
    return name if isinstance(name, str) else None


def _row(name: str, cells: pd.Series, called: str | None) -> ImageRow:
    height, width = (_number(cells.get(side, '')) for side in ('height', 'width'))
    threshold = _number(cells.get('threshold', ''))
    fault = None
    if cells.get('status', 'done') != 'done':
        fault = cells.get('reason', '') or 'it failed'
    return ImageRow(
        id=name,
        path=Path(cells['path']) if cells.get('path', '') else None,
        organ=cells.get('organ', ''),
        pixel_size=_number(cells.get('pixel_size', '')) or None,
        shape=(int(height), int(width)) if height and width else None,
        threshold=THRESHOLD if threshold is None else threshold,
        fault=fault,
        details={key: cells.get(key, '') for key in TEXTS},
        called=called,
    )


def _number(text: str) -> float | None:
    """Return the number of a cell that is not negative, None where there is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None
