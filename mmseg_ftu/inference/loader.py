"""Bring an image to what the network expects: resized whole, or cut into tiles.

An image that a competition or a microscope gives is resized whole, as in training. A
slide is brought to the pixel size of training, with one stain fit for all its tiles.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path

import numpy as np

from mmseg_ftu.inference.checkpoint_recipe import Recipe
from mmseg_ftu.inference.choices import MODES
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.writers import MAX_OVERLAY_SIDE
from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.resizing import is_resized_copy, resize_image, target_shape
from mmseg_ftu.io.sources import ArraySource, Source, plan_source
from mmseg_ftu.io.working_image import WorkingImage, blocks, read_resized, read_scaled
from mmseg_ftu.preparation.staining import ORDERS, finisher
from mmseg_ftu.stain import ColourHistogram, normalizer_of

TILED_FROM = 8192  # px; a longer image isn't one field of view
READ_AT_ONCE = 2048  # px a side, when an original is read from end to end


@dataclass
class Loaded:
    """An image, ready for the network.

    Attributes:
        job: What it is.
        source: The original. Where it had to be decoded as a whole, a preview of at
            most 2048 px a side; None where ``working`` stands for it.
        shape: Height and width of the result, px.
        pixel_size: Of the result, um/px; None if unknown.
        stain_failure: Why its stains could not be normalised, if so.
        image: RGB uint8 as the network sees it; None if it is cut into tiles.
        working: The image that tiles are cut from.
        paint: Normalises a tile.
    """

    job: Job
    source: Source | None
    shape: tuple[int, int]
    pixel_size: float | None
    stain_failure: str | None = None
    image: np.ndarray | None = None
    working: Source | None = None
    paint: Callable[[np.ndarray], np.ndarray] | None = None

    def thumbnail(self, longest: int) -> np.ndarray:
        """Return the original at up to so many px a side, RGB uint8.

        An original that had to be decoded as a whole is there at up to 2048 px a side.
        """
        source = self.working or self.source
        size = min(longest, max(source.shape))
        shape = target_shape(source.shape, size)
        if isinstance(source, ArraySource) and shape == source.shape:
            return source.image
        return read_resized(source, shape)

    def close(self) -> None:
        """Close files."""
        for source in (self.source, self.working):
            if source is not None:
                source.close()

    def drop_pixels(self) -> None:
        """Give up an original in memory but for a preview; close one not needed."""
        if self.working is not None:
            self.source.close()
            self.source = None
        elif isinstance(self.source, ArraySource):
            longest = min(MAX_OVERLAY_SIDE, max(self.source.shape))
            shape = target_shape(self.source.shape, longest)
            self.source = ArraySource(resize_image(self.source.image, shape))


class Loader:
    """Read images and bring them to what the network expects; thread-safe.

    Originals that have to be decoded as a whole are in memory only while they are
    loaded, and no more of them at once than the budget allows.

    Args:
        recipe: What the network expects.
        mode: One of `MODES`, see `FTUPredictor`.
        allow_other_stain: Accept a prepared folder whose stains were normalised in
            another way.
        temporary: Folder for large images while they are worked on.
        budget: Bounds the pixels that threads decode at once; None takes the default.

    Raises:
        ValueError: If the mode is unknown.
    """

    def __init__(
        self,
        recipe: Recipe,
        mode: str = 'auto',
        allow_other_stain: bool = False,
        temporary: Path | None = None,
        budget: PixelBudget | None = None,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'mode={mode!r}: choose one of {", ".join(MODES)}')
        self.recipe, self.mode = recipe, mode
        self.allow_other_stain, self.temporary = allow_other_stain, temporary
        self.budget = budget or PixelBudget()

    def __call__(self, job: Job, source: Source | None = None) -> Loaded:
        """Read an image and bring it to what the network expects.

        Args:
            job: The image.
            source: The open image; None opens the job's path.

        Raises:
            ValueError: If it is damaged, no RGB image, or can't be cut.
            OSError: If it can't be opened.
        """
        if source is not None:
            return self._load(job, source)
        plan = plan_source(job.path)
        with self.budget.hold(plan.pixels):
            return self._load(job, plan.open())

    def _load(self, job: Job, source: Source) -> Loaded:
        try:
            shape = job.original_shape or source.shape
            if not is_resized_copy(source.shape, shape):
                here, there = (f'{h} x {w} px' for h, w in (source.shape, shape))
                raise ValueError(
                    f'{job.path}: has {here} (height x width), which is no resized '
                    f'copy of the {there} on record: mend img_height and img_width'
                )
            pixel_size = job.pixel_size
            if pixel_size is None and source.pixel_size is not None:
                # of a resized copy, that of the original
                pixel_size = source.pixel_size * sqrt(prod(source.shape) / prod(shape))
            loaded = Loaded(job, source, shape, pixel_size)
            stain = self._stain(job)
            needed = self._cuts(source) and self.recipe.size is not None
            if pixel_size is None and source.pixel_size_fault and not needed:
                # without the path, so that many such images are named once
                text = f'{source.pixel_size_fault}; it is not used: give --pixel-size'
                warnings.warn(text, stacklevel=2)
            if self._cuts(source):
                self._load_tiles(loaded, stain)
            else:
                self._load_whole(loaded, stain)
            loaded.drop_pixels()
        except BaseException:
            source.close()
            raise
        return loaded

    def _stain(self, job: Job) -> dict | None:
        """Return the normalisation that is left to do."""
        if job.prepared is None:
            return self.recipe.stain
        there = job.prepared.get('stain')
        if there is None:
            return self.recipe.stain
        there = Recipe(None, None, there).stain_name
        if there != self.recipe.stain_name and not self.allow_other_stain:
            raise ValueError(
                f'{job.path}: prepared with stains {there!r}, the model was trained on '
                f'{self.recipe.stain_name!r}; prepare the images in the same way, or '
                'say --allow-other-stain'
            )
        return None

    def _cuts(self, source: Source) -> bool:
        if self.mode != 'auto':
            return self.mode == 'tiles'
        return source.is_slide or max(source.shape) > TILED_FROM

    def _load_whole(self, loaded: Loaded, stain: dict | None) -> None:
        source, size = loaded.source, self.recipe.size
        shape = target_shape(source.shape, size)
        if size is None:
            shape = self._shape_by_pixel_size(loaded, required=False)
        if isinstance(source, ArraySource):
            finish = finisher(stain)
            loaded.image, loaded.stain_failure = finish(source.image, shape)
        elif _is_stain_first(stain):
            source, loaded.stain_failure = _painted(source, stain)
            loaded.image = read_resized(source, shape)
        else:
            image = read_resized(source, shape)
            loaded.image, loaded.stain_failure = finisher(stain)(image, shape)

    def _load_tiles(self, loaded: Loaded, stain: dict | None) -> None:
        """Bring the image to working resolution and fit its stains once."""
        shape = self._shape_by_pixel_size(loaded, required=self.recipe.size is not None)
        source, histogram = loaded.source, ColourHistogram()
        normalizer = None
        if _is_stain_first(stain):
            source, loaded.stain_failure = _painted(source, stain)
        elif stain is not None:
            normalizer = normalizer_of(stain['state'], f'stains {stain["id"]}')
        working = WorkingImage(shape, self.temporary)
        for box in blocks(shape, by_rows=loaded.source.by_rows):
            block = read_scaled(source, shape, box)
            working.write(box[0], box[1], block)
            if normalizer:
                histogram.update(block)
        loaded.working = working
        if normalizer:
            fit = normalizer.fit_source(histogram)
            loaded.paint = lambda tile: normalizer.apply(tile, fit)
            loaded.stain_failure = fit.reason

    def _shape_by_pixel_size(self, loaded: Loaded, required: bool) -> tuple[int, int]:
        """Return height and width at the pixel size of training."""
        goal, pixel_size = self.recipe.pixel_size, loaded.pixel_size
        if goal and pixel_size:
            goal = self.recipe.pixel_size_of(loaded.job.organ)
            return tuple(max(1, round(n * pixel_size / goal)) for n in loaded.shape)
        if required:
            lacking, option = 'the image is unknown', '--pixel-size'
            if not goal:
                lacking = 'the training data is unknown'
                option = '--training-pixel-size'
            elif loaded.source.pixel_size_fault:
                lacking += f' ({loaded.source.pixel_size_fault})'
            raise ValueError(
                f'{loaded.job.path}: can not be cut into tiles, as the pixel size of '
                f'{lacking}: give it with {option}, or predict the whole image with '
                '--mode whole'
            )
        return loaded.source.shape


class _Painted:
    """A source whose regions are normalised when they are read."""

    def __init__(self, source: Source, paint) -> None:
        self.source, self.paint, self.by_rows = source, paint, source.by_rows
        # other levels aren't what the fit was made on
        self.levels = source.levels[:1]

    def read(self, *place: int) -> np.ndarray:
        return self.paint(self.source.read(*place))


def _painted(source: Source, stain: dict) -> tuple[_Painted, str | None]:
    """Fit the stains on the original, as in training; returns why that failed too."""
    normalizer = normalizer_of(stain['state'], f'stains {stain["id"]}')
    histogram = ColourHistogram()
    for top, left, height, width in blocks(source.shape, READ_AT_ONCE, source.by_rows):
        histogram.update(source.read(0, top, left, height, width))
    fit = normalizer.fit_source(histogram)
    return _Painted(source, lambda tile: normalizer.apply(tile, fit)), fit.reason


def _is_stain_first(stain: dict | None) -> bool:
    return stain is not None and stain['order'] != ORDERS[0]
