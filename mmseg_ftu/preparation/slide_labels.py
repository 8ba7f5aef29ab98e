"""What the annotations of a slide say about each of its pixels, at any resolution.

A slide is never a whole array here: outlines are runs (``masks.run_mask``), and only
the part that is asked for becomes pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from scipy.sparse import csr_array

from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.resizing import labels_by_majority
from mmseg_ftu.io.working_image import resize_weights
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.run_mask import RunMask

AT_ONCE = 4_000_000  # px of the full-size slide, 4 MB as labels and 32 as numbers


@dataclass(frozen=True)
class SlideLabels:
    """Labels of a slide: 0 background, 1 unit, 255 ignored.

    Ignored is what an ignored outline covers, and what lies outside of the regions if
    there are any. It goes before units.

    Attributes:
        units: Units at full size.
        ignored: What is ignored; None if nothing is.
        regions: Regions that were annotated; None if all of the slide was.
    """

    units: RunMask
    ignored: RunMask | None = None
    regions: RunMask | None = None

    @classmethod
    def fill(
        cls,
        shape: tuple[int, int],
        units: Iterable[shapely.Geometry],
        ignored: Iterable[shapely.Geometry] = (),
        regions: Iterable[shapely.Geometry] | None = None,
    ) -> Self:
        """Fill outlines.

        Args:
            shape: Height and width of the slide, px.
            units: Outlines of units, px.
            ignored: Outlines of what is ignored.
            regions: Outlines of what was annotated; None if all of the slide was.
        """
        hidden = list(ignored)
        return cls(
            fill_polygons(units, shape),
            fill_polygons(hidden, shape) if hidden else None,
            None if regions is None else fill_polygons(regions, shape),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the slide, px."""
        return self.units.shape

    def part(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Return labels of a part of the full-size slide, (height, width) uint8."""
        labels = self.units.part(top, left, height, width)
        if self.regions is not None:
            labels[self.regions.part(top, left, height, width) == 0] = IGNORE_LABEL
        if self.ignored is not None:
            labels[self.ignored.part(top, left, height, width) == 1] = IGNORE_LABEL
        return labels

    def resized_part(
        self,
        shape: tuple[int, int],
        box: tuple[int, int, int, int],
        at_once: int = AT_ONCE,
    ) -> np.ndarray:
        """Return labels of a part as if the whole had been resized.

        Args:
            shape: Height and width of the whole resized slide, px.
            box: Top, left, height and width of the part, in px of the resized slide.
            at_once: Pixels of the full-size slide that are held at once.

        Returns:
            (height, width) uint8, equal to that part of ``resize_mask`` of all labels.
        """
        top, left, height, width = box
        if self.shape == tuple(shape):
            return self.part(*box)
        columns = resize_weights(self.shape[1], shape[1], left, left + width)
        lines = max(1, int(at_once / columns[1].shape[1] * shape[0] / self.shape[0]))
        bands = [
            self._band(resize_weights(self.shape[0], shape[0], y, stop), columns)
            for y in range(top, top + height, lines)
            for stop in [min(y + lines, top + height)]
        ]
        return np.concatenate(bands)

    def _band(
        self, rows: tuple[int, csr_array], columns: tuple[int, csr_array]
    ) -> np.ndarray:
        """Return the labels of some lines of a part."""
        (top, of_rows), (left, of_columns) = rows, columns
        labels = self.part(top, left, of_rows.shape[1], of_columns.shape[1])
        foreground, ignored = (
            _share(labels == label, of_rows, of_columns) for label in (1, IGNORE_LABEL)
        )
        return labels_by_majority(foreground, ignored)


def _share(area: np.ndarray, rows: csr_array, columns: csr_array) -> np.ndarray:
    """Return the covered share of each pixel in 255ths, as OpenCV rounds it."""
    if not area.any():
        return np.zeros((rows.shape[0], columns.shape[0]), np.int32)
    share = columns @ (rows @ area.astype(np.float64)).T
    # without the noise of floating point a half is a half, and rint rounds it to even
    covered: np.ndarray = np.rint(np.round(share.T * 255, 4)).astype(np.int32)
    return covered
