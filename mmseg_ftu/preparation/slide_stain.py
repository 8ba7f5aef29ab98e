"""Fit the stains of a slide once, for all its tiles, as prediction does."""

from collections.abc import Sequence
from contextlib import closing

from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.sources import Source, plan_source
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.io.working_image import blocks, read_scaled
from mmseg_ftu.painted_source import count_colours
from mmseg_ftu.preparation.slide_plan import SlidePlan
from mmseg_ftu.recipe import StainPainter, StainStep
from mmseg_ftu.stain import ColourHistogram


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
            if stain.comes_first:
                return stain.fit(count_colours(source))
            return stain.fit(_colours(source, plan.resized))

    fitted = unordered_map(fit, plans, workers, 'fitting stains', 'slide')
    return {plan.file.name: painter for plan, painter in fitted}


def _colours(source: Source, shape: tuple[int, int]) -> ColourHistogram:
    """Count the colours of a slide as it would be after resizing, block by block."""
    histogram = ColourHistogram()
    for box in blocks(shape, by_rows=source.by_rows):
        histogram.update(read_scaled(source, shape, box))
    return histogram
