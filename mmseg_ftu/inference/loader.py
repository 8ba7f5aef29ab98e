"""Bring an image to what the network expects: resized whole, or cut into tiles.

An image is resized whole, as in training. A slide is brought to the pixel size of
training, with one stain fit for all its tiles, and so is a file whose pixel size says
that resized whole it would show tissue at another scale than training did.
"""

import threading
import warnings
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path

from mmseg_ftu.inference.choices import MODES
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.loaded_image import LoadedImage, TiledImage, WholeImage
from mmseg_ftu.inference.writers import MAX_OVERLAY_SIDE
from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.resizing import is_resized_copy, resize_image, target_shape
from mmseg_ftu.io.sources import ArraySource, Source, plan_source, scanned_from
from mmseg_ftu.io.stoppable import StoppableSource
from mmseg_ftu.io.working_image import WorkingImage, read_resized
from mmseg_ftu.painted_source import PaintedSource, count_colours
from mmseg_ftu.recipe import ALIKE, Recipe, StainStep, prepare_image, stain_of
from mmseg_ftu.stain import ColourHistogram

TILED_FROM = 8192  # px; a longer image is not one field of view
MUCH_LARGER = 4  # times the size of training; the competition's images are 3.9
AT_ONCE = 2  # slides that are read while tiles are predicted
LOOK_AGAIN = 0.2  # s, whether reading was stopped
LARGEST_BLOW_UP = 4  # times; a coarser image has not the detail that training had


@dataclass(frozen=True)
class _Original:
    """An open image and what is known of it.

    Attributes:
        job: The image.
        source: The open image.
        shape: Height and width of the result, px.
        pixel_size: Pixel size of the result, um/px; None if unknown.
    """

    job: Job
    source: Source
    shape: tuple[int, int]
    pixel_size: float | None


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
        tiled_from: Longer side, px, above which ``'auto'`` cuts an image into tiles.
        by_pixel_size: Let ``'auto'`` cut files, too, whose pixel size asks for it.

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
        tiled_from: int = TILED_FROM,
        by_pixel_size: bool = True,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f'mode={mode!r}: choose from {", ".join(MODES)}')
        self.recipe, self.mode = recipe, mode
        self.allow_other_stain, self.temporary = allow_other_stain, temporary
        self.budget = budget or PixelBudget()
        self.tiled_from, self.by_pixel_size = tiled_from, by_pixel_size
        self._turns = threading.Semaphore(AT_ONCE)
        self._stopped = threading.Event()

    def __call__(self, job: Job, source: Source | None = None) -> LoadedImage:
        """Read an image and bring it to what the network expects.

        Args:
            job: The image.
            source: The open image; None opens the job's path.

        Raises:
            ValueError: If it is damaged, not an RGB image, or cannot be cut.
            OSError: If it cannot be opened.
        """
        if source is not None:
            return self._load(job, source)
        plan = plan_source(job.path)
        with self.budget.hold(plan.pixels):
            return self._load(job, plan.open())

    def stop(self) -> None:
        """Let what is read now end at its next block, in whichever thread."""
        stopped, self._stopped = self._stopped, threading.Event()
        stopped.set()

    def _load(self, job: Job, source: Source) -> LoadedImage:
        try:
            original = _describe(job, source)
            stain = self._stain_left(job)
            if not self._cuts(original):
                return self._load_whole(original, stain)
            return self._load_tiled(original, stain)
        except BaseException:
            source.close()
            raise

    def _stain_left(self, job: Job) -> StainStep | None:
        """Return the normalisation that is left to do."""
        there = stain_of(job.prepared or {}, str(job.path))
        if there is None:
            return self.recipe.stain
        if there.name != self.recipe.stain_name and not self.allow_other_stain:
            raise ValueError(
                f'{job.path}: prepared with stains {there.name!r}, the model was '
                f'trained on {self.recipe.stain_name!r}; prepare the images in the '
                'same way, or say --allow-other-stain'
            )
        return None

    def _cuts(self, original: _Original) -> bool:
        if self.mode != 'auto':
            return self.mode == 'tiles'
        source = original.source
        if source.is_slide or max(source.shape) > self.tiled_from:
            return True
        return self.by_pixel_size and self._is_of_another_scale(original)

    def _is_of_another_scale(self, original: _Original) -> bool:
        """Tell whether a file resized whole would not have the pixel size of training.

        Images of a table, the competition's or prepared ones, are shown as in training.
        """
        job, size = original.job, self.recipe.size
        if size is None or job.original_shape or job.prepared:
            return False
        goal = self._shape_of_training(original)
        if goal is None:
            return False
        ratio = max(goal) / max(target_shape(original.shape, size))
        if 1 / ALIKE < ratio < ALIKE:
            return False
        if max(goal) > LARGEST_BLOW_UP * max(original.shape):
            warnings.warn(
                'the pixel size of an image is more than '
                f'{LARGEST_BLOW_UP} times that of training, {self.recipe.pixel_size:g} '
                f'um/px: it is resized to {size} px, as if it were unknown',
                stacklevel=2,
            )
            return False
        return True

    def _load_whole(self, original: _Original, stain: StainStep | None) -> WholeImage:
        _say_what_is_not_used(original)
        if self.mode == 'auto':
            _say_what_shrinks(original, self.recipe)
        job, source = original.job, original.source
        shape = target_shape(source.shape, self.recipe.size)
        if self.recipe.size is None:
            shape = self._shape_of_training(original) or source.shape
        preview, reading = source, StoppableSource(source, self._stopped)
        if isinstance(source, ArraySource):
            image, failure = prepare_image(source.image, shape, stain)
            preview = _preview(source)
        elif stain and stain.comes_first:
            painter = stain.fit(count_colours(reading))
            painted = PaintedSource(reading, painter)
            image, failure = read_resized(painted, shape), painter.failure
        else:
            image, failure = prepare_image(read_resized(reading, shape), shape, stain)
        return WholeImage(
            *(job, original.shape, original.pixel_size, image, preview, failure),
            scanned_from(original.source),
        )

    def _load_tiled(self, original: _Original, stain: StainStep | None) -> TiledImage:
        """Bring the image to working resolution and fit its stains once."""
        shape = self._shape_of_training(original)
        if shape is None:
            if self.recipe.size is not None:
                raise ValueError(self._why_not_cut(original))
            _say_what_is_not_used(original)
            shape = original.source.shape
        about = original.job, original.shape, original.pixel_size
        corner = scanned_from(original.source)
        behind = not isinstance(original.source, ArraySource)
        reading = StoppableSource(original.source, self._stopped)
        if stain is None:
            working = self._working(reading, reading, shape, behind)
            return TiledImage(*about, working, scanned_from=corner)
        if stain.comes_first:
            painter = stain.fit(count_colours(reading))
            painted = PaintedSource(reading, painter)
            working = self._working(painted, reading, shape, behind)
            return TiledImage(*about, working, None, painter.failure, corner)
        histogram = ColourHistogram()
        working = WorkingImage(shape, self.temporary)
        working.fill(reading, histogram.update)
        original.source.close()
        painter = stain.fit(histogram)
        return TiledImage(*about, working, painter, painter.failure, corner)

    def _working(
        self,
        source: Source,
        reading: StoppableSource,
        shape: tuple[int, int],
        behind: bool,
    ) -> WorkingImage:
        """Return an image at working resolution, and close its source.

        Args:
            source: The image.
            reading: The same before its stains are normalised.
            shape: Height and width at working resolution, px.
            behind: Go on in a thread while tiles are predicted. It is not for an image
                in memory, whose budget ends with loading.
        """
        working = WorkingImage(shape, self.temporary)
        if behind:
            while not self._turns.acquire(timeout=LOOK_AGAIN):
                reading.check()  # the slide that is predicted now comes first
            working.fill_behind(source, self._turns.release)
        else:
            working.fill(source)
            source.close()
        return working

    def _shape_of_training(self, original: _Original) -> tuple[int, int] | None:
        """Return height and width at the pixel size of training, if both are known."""
        recipe = self.recipe
        if not recipe.pixel_size or not original.pixel_size:
            return None
        goal = recipe.pixel_size_of(original.job.organ) or recipe.pixel_size
        height, width = original.shape
        scale = original.pixel_size / goal
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _why_not_cut(self, original: _Original) -> str:
        lacking, option = 'the image is unknown', '--pixel-size'
        if not self.recipe.pixel_size:
            lacking, option = 'the training data is unknown', '--training-pixel-size'
        elif original.source.pixel_size_fault:
            lacking += f' ({original.source.pixel_size_fault})'
        return (
            f'{original.job.path}: cannot be cut into tiles, as the pixel size of '
            f'{lacking}: give it with {option}, or predict the whole image with '
            '--mode whole'
        )


def _describe(job: Job, source: Source) -> _Original:
    """Say how large the original is, by what the job and the file tell.

    Raises:
        ValueError: If the file is not a resized copy of what is on record.
    """
    shape = job.original_shape or source.shape
    if not is_resized_copy(source.shape, shape):
        here, there = (f'{h} x {w} px' for h, w in (source.shape, shape))
        raise ValueError(
            f'{job.path}: has {here} (height x width), which is not a resized copy of '
            f'the {there} on record: mend img_height and img_width'
        )
    pixel_size = job.pixel_size
    if pixel_size is None and source.pixel_size is not None:
        # of a resized copy, that of the original
        pixel_size = source.pixel_size * sqrt(prod(source.shape) / prod(shape))
    return _Original(job, source, shape, pixel_size)


def _say_what_shrinks(original: _Original, recipe: Recipe) -> None:
    """Warn where a large image is seen small since its pixel size is not known."""
    job, longest = original.job, max(original.shape)
    of_a_table = job.original_shape or job.prepared
    if of_a_table or original.pixel_size or not (recipe.size and recipe.pixel_size):
        return
    if longest > MUCH_LARGER * recipe.size:
        text = (
            f'an image of {longest} px is seen at {recipe.size} px, since its pixel '
            'size is unknown: say --pixel-size if it shows more tissue than the images '
            'of the training did'
        )
        warnings.warn(text, stacklevel=2)


def _say_what_is_not_used(original: _Original) -> None:
    """Warn of a pixel size that is not used; without the path, to say it once."""
    fault = original.source.pixel_size_fault
    if original.pixel_size is None and fault:
        text = f'{fault}; it is not used: give --pixel-size'
        warnings.warn(text, stacklevel=2)


def _preview(source: ArraySource) -> ArraySource:
    """Return a small copy of an original in memory, for overlays."""
    longest = min(MAX_OVERLAY_SIDE, max(source.shape))
    shape = target_shape(source.shape, longest)
    return ArraySource(resize_image(source.image, shape))
