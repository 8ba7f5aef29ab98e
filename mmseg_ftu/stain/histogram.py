"""The colours of an image of any size, counted in 128 x 128 x 128 cells.

A stain fit asks only which colours occur how often. A cell holds two neighbouring
intensities of each channel, which moves a stain vector by some hundredths of a degree.
The counts of a slide take 16 MB however large it is, and do not depend on the order or
the size of its tiles.

Finer cells are nearly free, and a fit on coarser ones misses the minimum over all
pixels; ``benchmarks/README.md`` has the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from mmseg_ftu.stain.optical_density import DENSITY, TISSUE_LUMINOSITY
from mmseg_ftu.stain.rgb import check_rgb, row_blocks

CELLS = 128  # per channel
BLOCK = 1 << 23  # px; calcHist counts in float32, exact up to 2^24

#: Mean optical density of the two intensities of a cell.
CELL_DENSITY = DENSITY.reshape(CELLS, 2).mean(axis=1)


def luminance_of(lightness: float) -> float:
    """Return the luminance, 0..1, of a lightness L / 100 of CIE Lab above 0.08."""
    return ((100 * lightness + 16) / 116) ** 3


# The edge of tissue, and what cells of sRGB contribute to the luminance (IEC 61966-2-1)
TISSUE_LUMINANCE = luminance_of(TISSUE_LUMINOSITY)
_CENTRES = (np.arange(CELLS) * 2 + 0.5) / 255
_LINEAR = np.where(
    _CENTRES <= 0.04045, _CENTRES / 12.92, ((_CENTRES + 0.055) / 1.055) ** 2.4
)
CELL_LUMINANCE = np.outer([0.2126, 0.7152, 0.0722], _LINEAR)
NEAR = 0.02  # of that luminance: half a cell, and OpenCV's rounding of L


class ColourHistogram:
    """Counts of colours, filled tile by tile.

    Example:
        >>> histogram = ColourHistogram()
        >>> for tile in tiles:  # doctest: +SKIP
        ...     histogram.update(tile)
        >>> source = normalizer.fit_source(histogram)  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._counts: np.ndarray | None = None

    @classmethod
    def of(cls, image: np.ndarray | ColourHistogram) -> ColourHistogram:
        """Return the histogram of an image; a histogram is returned as it is."""
        return image if isinstance(image, ColourHistogram) else cls().update(image)

    @property
    def pixels(self) -> int:
        """How many pixels were counted."""
        return 0 if self._counts is None else int(self._counts.sum(dtype=np.float64))

    def update(self, tile: np.ndarray) -> ColourHistogram:
        """Count the pixels of a tile.

        Args:
            tile: ``(H, W, 3)`` uint8, RGB.

        Raises:
            ValueError: If the tile is not RGB uint8.
        """
        check_rgb(tile, 'tile')
        for rows in row_blocks(tile, BLOCK):
            part = np.ascontiguousarray(tile[rows])
            self._add(cv2.calcHist([part], [0, 1, 2], None, [CELLS] * 3, [0, 256] * 3))
        return self

    def merge(self, other: ColourHistogram) -> ColourHistogram:
        """Add the counts of another histogram, say of another process."""
        if other._counts is not None:
            self._add(other._counts)
        return self

    @classmethod
    def of_counts(cls, counts: np.ndarray) -> ColourHistogram:
        """Return a histogram with these counts.

        Args:
            counts: ``(128, 128, 128)`` by red, green and blue, each halved.

        Raises:
            ValueError: If the shape is another.
        """
        if counts.shape != (CELLS,) * 3:
            raise ValueError(f'counts have shape {counts.shape}: expected {CELLS}^3')
        histogram = cls()
        histogram._counts = counts.astype(np.float64)
        return histogram

    def cells(self) -> ColourCells:
        """Return the colours that occur."""
        if self._counts is None:
            return ColourCells(np.zeros(0, np.int64), np.zeros(0))
        flat = self._counts.ravel()
        index = np.flatnonzero(flat != 0)
        return ColourCells(index, flat[index].astype(np.float64))

    def _add(self, counts: np.ndarray) -> None:
        if self._counts is None:
            self._counts = counts
        else:  # float64 counts 2^53 pixels exactly
            self._counts = self._counts.astype(np.float64, copy=False) + counts


@dataclass(frozen=True)
class ColourCells:
    """The cells that occur: ``index`` ``(n,)`` into 128^3, ``counts`` ``(n,)`` px."""

    index: np.ndarray
    counts: np.ndarray

    @cached_property
    def levels(self) -> np.ndarray:
        """Place of each cell in R, G and B, ``(3, n)``, 0..127."""
        index = self.index.astype(np.int32)  # three times faster than np.unravel_index
        return np.stack([index >> 14, index >> 7 & 127, index & 127])

    @cached_property
    def luminance(self) -> np.ndarray:
        """Luminance at the middle of each cell, ``(n,)``, 0..1."""
        red, green, blue = (
            table[levels]
            for table, levels in zip(CELL_LUMINANCE, self.levels, strict=True)
        )
        luminance: np.ndarray = red + green + blue
        return luminance

    def take(self, places: np.ndarray, counts: np.ndarray) -> ColourCells:
        """Return the cells at ``places`` ``(m,)``, with other counts ``(m,)``."""
        return ColourCells(self.index[places], counts)

    def densities(self) -> np.ndarray:
        """Return the mean optical density of each cell, ``(3, n)`` float64."""
        densities: np.ndarray = CELL_DENSITY[self.levels]
        return densities

    def colours(self, corner: int = 0) -> np.ndarray:
        """Return a colour of each cell, ``(n, 3)`` uint8; corner 0 (000) .. 7 (111)."""
        bits = np.array([corner >> 2 & 1, corner >> 1 & 1, corner & 1])
        colours: np.ndarray = (2 * self.levels.T + bits).astype(np.uint8)
        return colours

    def tissue(self) -> np.ndarray:
        """Return which part of each cell's colours is tissue, ``(n,)``, 0..1."""
        part = (self.luminance < TISSUE_LUMINANCE).astype(np.float64)
        # near the edge OpenCV decides, colour by colour: 3 times faster than for all
        near = np.flatnonzero(np.abs(self.luminance - TISSUE_LUMINANCE) < NEAR)
        edge = ColourCells(self.index[near], self.counts[near])
        part[near] = np.mean([_is_tissue(edge.colours(c)) for c in range(8)], axis=0)
        return part


def _is_tissue(colours: np.ndarray) -> np.ndarray:
    """Return which colours ``(n, 3)`` are tissue."""
    if not len(colours):
        return np.zeros(0, bool)
    lab = cv2.cvtColor(colours[:, None], cv2.COLOR_RGB2LAB)
    tissue: np.ndarray = lab[:, 0, 0] / 255 < TISSUE_LUMINOSITY
    return tissue
