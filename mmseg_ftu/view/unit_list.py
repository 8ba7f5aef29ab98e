"""The units of an image as the page lists them.

They come from the table that predict wrote, from the outlines of GeoJSON, or they are
found in a mask or above a threshold of probability, in one pass strip by strip.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from mmseg_ftu.io.grey_regions import GreySource
from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.masks.objects import Objects, find_objects, mean_probability
from mmseg_ftu.masks.run_mask import STRIP_PIXELS, RunMask

MOST_UNITS = 200_000  # of a list; the largest are listed
SIDES = ('left', 'top', 'right', 'bottom')
NEEDED = ('id', 'class', 'area_px', *SIDES)


@dataclass(frozen=True)
class UnitList:
    """Units of one image, N of them.

    Attributes:
        origin: Where the list is from, for people.
        boxes: Left, top, right and bottom, (N, 4), px of the image.
        area: Area, (N,), px of the image.
        mean: Mean probability, (N,), NaN where unknown.
        numbers: Number of each, (N,).
        classes: Place of the class of each in ``names``, (N,).
        names: Names of the classes.
        left_out: Number of units that are not listed.
    """

    origin: str
    boxes: np.ndarray
    area: np.ndarray
    mean: np.ndarray
    numbers: np.ndarray
    classes: np.ndarray
    names: list[str]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.area)

    def limited(self, most: int = MOST_UNITS) -> 'UnitList':
        """Return the largest units, in their order."""
        if len(self) <= most:
            return self
        keep = np.sort(np.argsort(-self.area, kind='stable')[:most])
        return replace(
            self,
            boxes=self.boxes[keep],
            area=self.area[keep],
            mean=self.mean[keep],
            numbers=self.numbers[keep],
            classes=self.classes[keep],
            left_out=len(self) - most,
        )

    def boxed_around(self, x: float, y: float) -> list[int]:
        """Return the units whose boxes hold a place, px; the smallest first."""
        left, top, right, bottom = self.boxes.T
        inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
        places = np.flatnonzero(inside)
        order: list[int] = places[np.argsort(self.area[places], kind='stable')].tolist()
        return order

    def describe(self) -> dict[str, Any]:
        """Return the list column by column, fit for JSON."""
        mean = [round(m, 4) if np.isfinite(m) else None for m in self.mean.tolist()]
        return dict(
            origin=self.origin,
            names=self.names,
            left_out=self.left_out,
            number=self.numbers.tolist(),
            class_of=self.classes.tolist(),
            area=np.round(self.area, 1).tolist(),
            mean=mean,
            box=np.round(self.boxes, 1).tolist(),
        )


def units_of_table(path: Path, name: str, unnamed: str) -> UnitList:
    """Read the units of an image from ``units/ID.csv`` or ``units.csv``.

    Args:
        path: The table.
        name: Id of the image.
        unnamed: Class of units that have none.

    Raises:
        ValueError: If the table has not got the columns of such a table.
    """
    try:
        rows = pd.read_csv(path, dtype={'id': str, 'image': str, 'class': str})
        rows = rows[rows['image'] == name]
        absent = [c for c in NEEDED if c not in rows]
    except (ValueError, KeyError) as error:  # so are pandas' own
        raise ValueError(f'{path}: is not a table of units ({error})') from None
    if absent:
        raise ValueError(f'{path}: is not a table of units, it lacks {absent[0]}')
    places = rows[['area_px', *SIDES]].apply(pd.to_numeric, errors='coerce')
    if not np.isfinite(places.to_numpy(np.float64)).all():
        raise ValueError(f'{path}: an area or a box of {name} is not a finite number')
    numbers = rows['id'].str.rsplit('_', n=1).str[-1]
    classes, names = pd.factorize(rows['class'].fillna(unnamed))
    mean = rows.get('mean_probability', pd.Series(np.nan, rows.index))
    return UnitList(
        path.name,
        places[[*SIDES]].to_numpy(np.float64),
        places['area_px'].to_numpy(np.float64),
        mean.to_numpy(np.float64),
        pd.to_numeric(numbers, errors='coerce').fillna(0).to_numpy(np.int64),
        classes,
        [str(n) for n in names] or [unnamed],
    )


def units_of_outlines(annotations: list[Annotation], unnamed: str) -> UnitList:
    """List outlines, each a unit.

    Args:
        annotations: The outlines, px of the image.
        unnamed: Class of outlines that have none.
    """
    names = list(dict.fromkeys(a.class_name or unnamed for a in annotations))
    outlines = np.array([a.outline for a in annotations], object)
    mean = [np.nan if (m := a.mean_probability) is None else m for a in annotations]
    return UnitList(
        'GeoJSON',
        shapely.bounds(outlines).reshape(-1, 4),
        shapely.area(outlines).reshape(-1),
        np.array(mean, np.float64),
        np.array([a.number for a in annotations], np.int64),
        np.array([names.index(a.class_name or unnamed) for a in annotations], int),
        names or [unnamed],
    )


def units_of_pixels(
    pixels: GreySource,
    above: int,
    shape: tuple[int, int],
    name: str,
    origin: str,
    probability: GreySource | None = None,
) -> UnitList:
    """Find the units of a mask, or of probabilities above a threshold.

    Args:
        pixels: The mask or the probabilities.
        above: A pixel with a larger value is a unit.
        shape: Height and width of the image, px; the pixels cover it.
        name: Class of the units.
        origin: Where the list is from.
        probability: Map whose mean over each unit is taken, on any grid.
    """
    strips = (strip > above for strip in strips_of(pixels))
    objects = find_objects(RunMask.from_strips(strips, pixels.shape))
    mean = np.full(len(objects), np.nan)
    if probability is not None and len(objects):
        mean = mean_probability(objects, _on_grid(probability, pixels.shape)) / 255
    scale = shape[1] / pixels.shape[1], shape[0] / pixels.shape[0]
    count = len(objects)
    return UnitList(
        origin,
        _boxes(objects) * np.array([*scale, *scale]),
        objects.area * scale[0] * scale[1],
        mean,
        np.arange(1, count + 1),
        np.zeros(count, int),
        [name],
    ).limited()


def _boxes(objects: Objects) -> np.ndarray:
    return np.stack([getattr(objects, side) for side in SIDES], axis=1)


def strips_of(pixels: GreySource) -> Iterator[np.ndarray]:
    """Yield pixels from top to bottom."""
    height, width = pixels.shape
    step = max(1, STRIP_PIXELS // width)
    step = max(step, 512)  # a row of tiles at once, or each is decoded many times
    for y in range(0, height, step):
        yield pixels.read(0, y, 0, min(step, height - y), width)


def _on_grid(pixels: GreySource, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield pixels as strips of another grid, each from the nearest, float32."""
    height, width = shape
    columns = ((np.arange(width) + 0.5) * pixels.shape[1] / width).astype(int)
    step = max(512, STRIP_PIXELS // width)
    for y in range(0, height, step):
        count = min(step, height - y)
        rows = ((np.arange(y, y + count) + 0.5) * pixels.shape[0] / height).astype(int)
        part = pixels.read(0, rows[0], 0, rows[-1] - rows[0] + 1, pixels.shape[1])
        yield part[rows - rows[0]][:, columns].astype(np.float32)
