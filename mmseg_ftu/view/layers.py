"""What lies over an image: masks, probabilities and outlines as pixels of one channel.

All layers become ``Pyramid``s whose pixels are 255 times the share that is a unit, or
255 times a probability. A layer has a grid of its own, and covers the whole image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from mmseg_ftu.io.grey_regions import GreySource, open_grey_regions
from mmseg_ftu.io.images import read_levels, read_mask
from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.view.pyramid import Pyramid

UNITS, PROBABILITY, TRUTH = 'units', 'probability', 'truth'
HALF = 127  # a pixel above it is a unit: of a level that is averaged, one half is


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes:
        kind: `UNITS`, `PROBABILITY` or `TRUTH`.
        name: Class of the units.
        pixels: Pixels at the full size.
        pyramid: The same at each halved size.
    """

    kind: str
    name: str
    pixels: GreySource
    pyramid: Pyramid

    @classmethod
    def of(cls, kind: str, name: str, pixels: GreySource) -> 'Layer':
        """Return a layer of open pixels."""
        return cls(kind, name, pixels, Pyramid(pixels))

    def is_unit(self, x: int, y: int, above: int, shape: tuple[int, int]) -> bool:
        """Tell whether a pixel of the image has a value above one.

        Args:
            x: Column, px of the image.
            y: Row, px of the image.
            above: The value.
            shape: Height and width of the image, px.
        """
        if not (0 <= y < shape[0] and 0 <= x < shape[1]):
            return False
        row, column = (
            int((place + 0.5) * stored / side)
            for place, stored, side in zip(
                (y, x), self.pixels.shape, shape, strict=True
            )
        )
        return bool(self.pixels.read(0, row, column, 1, 1).max() > above)

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know."""
        height, width = self.pixels.shape
        return dict(kind=self.kind, name=self.name, height=height, width=width)


class GreyArray:
    """Pixels in memory; see `GreySource`."""

    by_rows = False

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels, self.shape = pixels, (pixels.shape[0], pixels.shape[1])
        self.levels = [self.shape]

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Return a view of the region."""
        return self._pixels[top : top + height, left : left + width]

    def close(self) -> None:
        """Do nothing."""


class GreyRuns:
    """A mask of runs, 0 and 255; see `GreySource`."""

    by_rows = True  # what is left and right of a region is looked at, too

    def __init__(self, mask: RunMask) -> None:
        self._mask, self.shape, self.levels = mask, mask.shape, [mask.shape]

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Make the pixels of a region."""
        return self._mask.part(top, left, height, width) * np.uint8(255)

    def close(self) -> None:
        """Do nothing."""


class GreyLabels:
    """Labels of an open file, 255 where they are a unit; see `GreySource`.

    Args:
        labels: The file.
        is_unit: Tells of labels which are units.
    """

    def __init__(
        self, labels: GreySource, is_unit: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self._labels, self._is_unit = labels, is_unit
        self.shape, self.levels = labels.shape, labels.levels
        self.by_rows = labels.by_rows

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region."""
        labels = self._labels.read(level, top, left, height, width)
        return self._is_unit(labels).astype(np.uint8) * np.uint8(255)

    def close(self) -> None:
        """Close the file."""
        self._labels.close()


def open_mask(path: Path) -> GreySource:
    """Open a mask in which all but 0 is a unit.

    Raises:
        ValueError: If the file is damaged or not a mask.
        OSError: If it cannot be opened.
    """
    regions = open_grey_regions(path)
    if regions is not None:
        return GreyLabels(regions, lambda labels: labels != 0)
    return GreyArray((read_mask(path, 'nonzero') != 0) * np.uint8(255))


def open_probability(path: Path) -> GreySource:
    """Open a map of probabilities, 255 is 1.

    Raises:
        ValueError: If the file is damaged or not such a map.
        OSError: If it cannot be opened.
    """
    return open_grey_regions(path) or GreyArray(read_levels(path))


def outline_layers(
    kind: str,
    annotations: list[Annotation],
    shape: tuple[int, int],
    unnamed: str,
) -> list[Layer]:
    """Fill outlines: a layer for each class.

    Args:
        kind: Kind of the layers.
        annotations: The outlines, px of the image.
        shape: Height and width of the image, px.
        unnamed: Class of outlines that have none.
    """
    by_class: dict[str, list[shapely.Geometry]] = {}
    for annotation in annotations:
        name = annotation.class_name or unnamed
        by_class.setdefault(name, []).append(annotation.outline)
    return [
        Layer.of(kind, name, GreyRuns(fill_polygons(outlines, shape)))
        for name, outlines in by_class.items()
    ]
