"""The network's answer for one image, as the writers of files take it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmseg_ftu.inference.choices import UPSAMPLINGS
from mmseg_ftu.inference.upsample import RowSource, as_rows, upsample_rows
from mmseg_ftu.masks.run_mask import STRIP_PIXELS, RunMask


@dataclass(frozen=True)
class ProbabilityMap:
    """Probability at working resolution and what it takes to make a mask of it.

    Args:
        source: Probabilities, (h, w), uint8 (255 is probability 1) or float32 (0..1).
        original_shape: Height and width of the original image, px.
        threshold: Probability above which a pixel is foreground, 0..1.
        pixel_size: Pixel size of the original image, um/px; None if unknown.
        method: Way of up-sampling, as ``upsample_rows`` takes it.

    Raises:
        ValueError: If one of them is out of range.
    """

    source: RowSource | np.ndarray
    original_shape: tuple[int, int]
    threshold: float
    pixel_size: float | None = None
    method: str = 'bilinear'

    def __post_init__(self) -> None:
        object.__setattr__(self, 'source', as_rows(self.source))
        if self.method not in UPSAMPLINGS:
            raise ValueError(f'method {self.method!r}: choose from {UPSAMPLINGS}')
        if min(self.original_shape) < 1:
            raise ValueError(f'original_shape {self.original_shape}: below 1 px')
        if not 0 <= self.threshold <= 1:
            raise ValueError(f'threshold {self.threshold}: not in 0..1')
        if self.pixel_size is not None and not 0 < self.pixel_size < np.inf:
            raise ValueError(f'pixel_size {self.pixel_size}: must be above 0 um/px')

    def strips(self) -> Iterator[np.ndarray]:
        """Yield the map at the original size from top to bottom, (n, W) float32."""
        height, width = self.original_shape
        step = max(1, STRIP_PIXELS // width)
        for y in range(0, height, step):
            yield upsample_rows(
                self.source,
                self.original_shape,
                y,
                min(y + step, height),
                self.method,
            )

    def mask(self) -> RunMask:
        """Return the pixels above the threshold."""
        strips = (strip > self.threshold for strip in self.strips())
        return RunMask.from_strips(strips, self.original_shape)
