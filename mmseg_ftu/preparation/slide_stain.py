"""Fit the stains of a slide once, for all its tiles, as prediction does."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np

from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.sources import Source, plan_source
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.io.working_image import blocks, read_scaled
from mmseg_ftu.preparation.slide_plan import SlidePlan
from mmseg_ftu.recipe import StainPainter, StainStep
from mmseg_ftu.stain import ColourHistogram

READ_SIDE = 2048  # px a side that are read at once from the full-size slide


def fit_stains(
    plans: Sequence[SlidePlan], stain: StainStep, workers: int, budget: PixelBudget
) -> dict[str, StainPainter]:
    """Measure the stains of slides.

    Args:
        plans: The slides.
        stain: The stain step.
        workers: Threads; 0 works in the calling one.
        budget: Bounds the pixels that threads decode at once.

    Returns:
        What paints each slide, by its name.
    """

    def fit(plan: SlidePlan) -> StainPainter:
        opening = plan_source(plan.file.path)
        with budget.hold(opening.pixels), closing(opening.open()) as source:
            return stain.fit(count_colours(source, plan.resized, stain.comes_first))

    fitted = unordered_map(fit, plans, workers, 'fitting stains', 'slide')
    return {plan.file.name: painter for plan, painter in fitted}


def count_colours(
    source: Source, shape: tuple[int, int], full_size: bool
) -> ColourHistogram:
    """Count the colours of a whole slide.

    Args:
        source: The open slide.
        shape: Height and width of the resized slide, px.
        full_size: Count those of the full-size slide instead.
    """
    histogram = ColourHistogram()
    if full_size:
        for place in blocks(source.shape, READ_SIDE, source.by_rows):
            histogram.update(source.read(0, *place))
        return histogram
    for box in blocks(shape, by_rows=source.by_rows):
        histogram.update(read_scaled(source, shape, box))
    return histogram


class PaintedRegions:
    """A slide whose regions are normalised when they are read; see ``Source``.

    Args:
        source: The open slide.
        painter: Its fitted stain step.
    """

    def __init__(self, source: Source, painter: StainPainter) -> None:
        self.source, self.painter = source, painter
        self.shape, self.levels = source.shape, source.levels[:1]  # as measured
        self.pixel_size = source.pixel_size
        self.pixel_size_fault = source.pixel_size_fault
        self.is_slide, self.by_rows = source.is_slide, source.by_rows

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region in the target's colours, RGB uint8 ``(height, width, 3)``."""
        return self.painter.paint(self.source.read(level, top, left, height, width))

    def close(self) -> None:
        """Close the slide."""
        self.source.close()
