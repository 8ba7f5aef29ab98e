"""Tables of units: one row a unit, and one row an image.

Columns are always the same, and a cell is blank where something is not known: um
without a pixel size, tissue without the image. Coordinates are px of the full-size
image; (0, 0) is its upper left corner, as in QuPath.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmseg_ftu.io.atomic_files import replacing, write_bytes
from mmseg_ftu.masks.measurements import measure
from mmseg_ftu.masks.objects import Objects

COLUMNS = (
    *('id', 'image', 'organ', 'class', 'area_px', 'area_um2'),
    *('perimeter_px', 'perimeter_um'),
    *('equivalent_diameter_px', 'equivalent_diameter_um'),
    *('circularity', 'eccentricity', 'centroid_x', 'centroid_y'),
    *('left', 'top', 'right', 'bottom', 'mean_probability', 'touches_border'),
)
IMAGE_COLUMNS = (
    *('image', 'organ', 'class', 'units', 'touching_border', 'area_share'),
    *('image_mm2', 'tissue_mm2', 'units_per_mm2_of_image', 'units_per_mm2_of_tissue'),
    *('median_area_px', 'median_area_um2', 'median_equivalent_diameter_um'),
)
IN_PX = {'area', 'perimeter', 'equivalent_diameter'}  # of Measurements
DIGITS = '%.7g'


@dataclass(frozen=True)
class UnitImage:
    """What is known of an image whose units are measured.

    Attributes:
        id: Id of the image.
        organ: Organ; ``''`` if unknown.
        class_name: What its units are called.
        counted_px: Pixels of the image that are not ignored.
        spacing: Height and width of a pixel, um; None if unknown.
        tissue_share: Share of the image that is tissue, 0..1; None if unknown.
        covered_px: Pixels that are units; None where no two units overlap.
    """

    id: str
    organ: str
    class_name: str
    counted_px: int
    spacing: tuple[float, float] | None = None
    tissue_share: float | None = None
    covered_px: int | None = None

    @property
    def names(self) -> tuple[str, str, str]:
        """Id, organ and class, as the columns have them."""
        return self.id, self.organ, self.class_name


def unit_rows(
    objects: Objects,
    image: UnitImage,
    mean_probability: np.ndarray | None = None,
    numbers: Sequence[int] | np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure the units of an image.

    Args:
        objects: The units.
        image: What is known of the image.
        mean_probability: Mean probability of each, (N,), 0..1; None if unknown.
        numbers: Number of each in its id; from 1 by default.

    Returns:
        One row a unit, with the columns of ``COLUMNS``; NaN where unknown.
    """
    found = asdict(measure(objects, image.spacing))
    rows = pd.DataFrame(
        {
            f'{name}_px' if name in IN_PX else name: values
            for name, values in found.items()
        }
    )
    if numbers is None:
        numbers = range(1, len(objects) + 1)
    rows['id'] = [f'{image.id}_{number}' for number in numbers]
    rows['image'], rows['organ'], rows['class'] = (
        image.id,
        image.organ,
        image.class_name,
    )
    for side in ('left', 'top', 'right', 'bottom'):
        rows[side] = getattr(objects, side)
    rows['mean_probability'] = np.nan if mean_probability is None else mean_probability
    rows['touches_border'] = objects.touches_border.astype(int)
    return rows[[*COLUMNS]]


def image_row(rows: pd.DataFrame, image: UnitImage) -> dict[str, Any]:
    """Summarise the units of an image.

    Args:
        rows: Its units, as ``unit_rows`` returns them.
        image: What is known of the image.

    Returns:
        The columns of ``IMAGE_COLUMNS``, fit for JSON; None where unknown.
    """
    count, area = len(rows), image.covered_px
    if area is None:
        area = int(rows.area_px.sum())
    mm2 = None
    if image.spacing is not None:
        mm2 = image.counted_px * image.spacing[0] * image.spacing[1] / 1e6
    tissue = None
    if mm2 is not None and image.tissue_share is not None:
        tissue = mm2 * image.tissue_share
    values = (
        *(*image.names, count),
        *(int(rows.touches_border.sum()), _ratio(area, image.counted_px)),
        *(mm2, tissue, _ratio(count, mm2), _ratio(count, tissue)),
        *(_median(rows.area_px), _median(rows.area_um2)),
        _median(rows.equivalent_diameter_um),
    )
    return dict(zip(IMAGE_COLUMNS, values, strict=True))


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write a table of units or of images, in one step."""
    write_bytes(path, _csv(rows))


def write_image_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the table with one row an image, in one step."""
    write_rows(path, pd.DataFrame([*rows], columns=[*IMAGE_COLUMNS]))


def join_tables(path: Path, parts: Iterable[Path]) -> None:
    """Write one table of the units of many images, in one step.

    Args:
        path: The table.
        parts: Tables of ``write_rows``, one an image; one that is not there any more,
            or has other columns, is left out.
    """
    header = _csv(pd.DataFrame(columns=[*COLUMNS]))
    with replacing(path) as temporary, temporary.open('wb') as file:
        file.write(header)
        for part in parts:
            try:
                content = part.read_bytes()
            except OSError:
                continue
            if content.startswith(header):
                file.write(content[len(header) :])


def _csv(rows: pd.DataFrame) -> bytes:
    text = rows.to_csv(index=False, float_format=DIGITS, lineterminator='\n')
    return text.encode(errors='backslashreplace')  # names are bytes


def _ratio(count: float, whole: float | None) -> float | None:
    return count / whole if whole else None


def _median(values: pd.Series) -> float | None:
    median = float(values.median())  # NaN of nothing
    return None if np.isnan(median) else median
