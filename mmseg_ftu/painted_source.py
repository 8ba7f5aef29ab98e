"""An original whose stains are normalised before it is resized, region by region."""

import numpy as np

from mmseg_ftu.io.sources import Source
from mmseg_ftu.io.working_image import blocks
from mmseg_ftu.recipe import StainPainter
from mmseg_ftu.stain import ColourHistogram

READ_AT_ONCE = 2048  # px a side, when an original is read from end to end


class PaintedSource:
    """A `Source` whose regions are normalised when they are read.

    Args:
        source: The original, which stays open.
        painter: The normalisation, fitted to all of the original.
    """

    def __init__(self, source: Source, painter: StainPainter) -> None:
        self.source, self.painter = source, painter
        self.shape, self.by_rows = source.shape, source.by_rows
        self.pixel_size = source.pixel_size
        self.pixel_size_fault = source.pixel_size_fault
        self.is_slide = source.is_slide
        self.levels = source.levels[:1]  # the others are not what is measured

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region in the target's colours, ``(height, width, 3)`` uint8 RGB."""
        return self.painter.paint(self.source.read(level, top, left, height, width))

    def close(self) -> None:
        """Close the original."""
        self.source.close()


def count_colours(source: Source) -> ColourHistogram:
    """Count the colours of an original at its full size."""
    histogram = ColourHistogram()
    for place in blocks(source.shape, READ_AT_ONCE, source.by_rows):
        histogram.update(source.read(0, *place))
    return histogram
