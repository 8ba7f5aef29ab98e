"""Regions of masks and maps of probabilities, which have one channel.

Predict writes them as tiled pyramids where they are large, and anybody's may be larger
than memory. Small ones are read whole, by the exact readers of ``images``.
"""

from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from mmseg_ftu.io.raster import naming
from mmseg_ftu.io.sources import LIMITS, TIFF_SUFFIXES, Limits
from mmseg_ftu.io.tiff import open_tiff, single_image, size_of_series
from mmseg_ftu.io.tiff_regions import TiffRegions


class GreySource(Protocol):
    """Open pixels of one channel.

    Attributes:
        shape: Height and width of level 0, px.
        levels: Heights and widths of the levels, largest first.
        by_rows: Whether whole rows are read best.
    """

    shape: tuple[int, int]
    levels: list[tuple[int, int]]
    by_rows: bool

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region given in px of its level; uint8 ``(height, width)``."""

    def close(self) -> None:
        """Close the file."""


class GreyRegions(TiffRegions):
    """A TIFF of one channel, read by its tiles or strips; see `GreySource`."""

    kinds = ('grey', 'palette')

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region, decoding the tiles or strips that it touches."""
        return self.stored(level, top, left, height, width)[..., 0]


def open_grey_regions(path: Path, limits: Limits = LIMITS) -> GreyRegions | None:
    """Open a file of one channel that is not to be read whole.

    Args:
        path: The file.
        limits: Limits up to which TIFFs are decoded as a whole.

    Returns:
        The open file; None for a small one, or one of another format.

    Raises:
        ValueError: If it is large, and damaged or not of one channel and 8 bits.
        OSError: If it cannot be opened.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return None
    with ExitStack() as stack, naming(path):
        file = stack.enter_context(open_tiff(path))
        series, _ = single_image(file, limit=None)
        is_small = prod(size_of_series(series)) <= limits.whole_pixels
        if is_small and len(series.levels) == 1:
            return None
        regions = GreyRegions(path, file, series, strip_pixels=limits.strip_pixels)
        stack.pop_all()
    return regions
