"""An original whose stains are normalised before it is resized, as in training."""

import numpy as np

from mmseg_ftu.io.sources import Source
from mmseg_ftu.io.working_image import blocks
from mmseg_ftu.recipe import StainStep
from mmseg_ftu.stain import ColourHistogram

READ_AT_ONCE = 2048  # px a side, when an original is read from end to end


class PaintedSource:
    """A `Source` whose regions are normalised when they are read.

    It is read from end to end once, to measure its stains.

    Args:
        source: The original, which stays open.
        stain: The normalisation.

    Attributes:
        failure: Why the stains could not be normalised, if so.
    """

    def __init__(self, source: Source, stain: StainStep) -> None:
        self.source = source
        self.shape, self.by_rows = source.shape, source.by_rows
        self.pixel_size = source.pixel_size
        self.pixel_size_fault = source.pixel_size_fault
        self.is_slide = source.is_slide
        self.levels = source.levels[:1]  # the others are not what is measured
        histogram = ColourHistogram()
        for place in blocks(source.shape, READ_AT_ONCE, source.by_rows):
            histogram.update(source.read(0, *place))
        self._painter = stain.fit(histogram)
        self.failure = self._painter.failure

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region in the target's colours, ``(height, width, 3)`` uint8 RGB."""
        return self._painter.paint(self.source.read(level, top, left, height, width))

    def close(self) -> None:
        """Close the original."""
        self.source.close()
