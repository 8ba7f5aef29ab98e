"""How an image becomes what the network sees: its size, pixel size and stains.

Training images are prepared once. How this was done is kept in the manifest of the
prepared folder and in each checkpoint, so that new images are prepared in the same way.

The order of the two steps matters: fitted at 3000 px and at 768 px, stain vectors
differ by up to a degree. By default an image is resized first and then normalised, as
in the paper's inference, where only the resized image is at hand.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.stain import ColourHistogram, Fit, Normalizer, normalizer_of, stain_id
from mmseg_ftu.stain.tissue import without_black

LARGEST_SIZE = 16384  # px; larger images are seen in tiles
ORDERS = ('resize-first', 'stain-first')
NO_STAINS, UNKNOWN_STAINS = 'none', 'unknown'  # names where there is no stain step
# Pixel sizes that differ by less count as one: those of organs, and those of members of
# an ensemble, which are medians over other images.
ALIKE = 1.1


@dataclass(frozen=True)
class StainPainter:
    """Give one image, or any part of it, the colours of a target.

    Attributes:
        normalizer: The normaliser with its target.
        source: The stains of the image, as measured on the whole of it.
    """

    normalizer: Normalizer[Any]
    source: Fit

    @property
    def failure(self) -> str | None:
        """Why the stains could not be measured, if so."""
        return self.source.reason

    def paint(self, part: np.ndarray) -> np.ndarray:
        """Return a part ``(H, W, 3)`` uint8 RGB in the target's colours."""
        return self.normalizer.apply(part, self.source)


@dataclass(frozen=True)
class StainStep:
    """Normalise the stains of an image, before or after it is resized.

    Attributes:
        id: Short text that is equal for equal normalisers; see ``stain_id``.
        order: Order of the two steps, one of `ORDERS`.
        state: The ``state_dict`` of the fitted normaliser, fit for JSON.
    """

    id: str
    order: str
    state: dict[str, Any] = field(hash=False, repr=False)

    @classmethod
    def of(cls, normalizer: Normalizer[Any], order: str = ORDERS[0]) -> Self:
        """Return the step that a fitted normaliser makes."""
        return cls(stain_id(normalizer), order, normalizer.state_dict())

    @classmethod
    def from_dict(cls, entry: object, place: str) -> Self:
        """Read a step from its entry in a manifest or a checkpoint.

        Args:
            entry: What was found there.
            place: How messages name the place.

        Raises:
            ValueError: If the entry is not one that `to_dict` makes.
        """
        if isinstance(entry, Mapping):
            name, order, state = (entry.get(key) for key in ('id', 'order', 'state'))
            if isinstance(name, str) and order in ORDERS and isinstance(state, Mapping):
                return cls(name, order, dict(state))
        raise ValueError(
            f'{place}: stain={str(entry)[:80]!r} is not a stain normalisation, which '
            f'has id, order ({" or ".join(ORDERS)}) and state: fetch the file again, '
            'or prepare the images anew'
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for manifests and checkpoints, fit for JSON."""
        return dict(id=self.id, order=self.order, state=self.state)

    @property
    def name(self) -> str:
        """Name the step as messages and checkpoints do: its id and its order."""
        return f'{self.id} {self.order}'

    @property
    def comes_first(self) -> bool:
        """Tell whether stains are normalised before the image is resized."""
        return self.order != ORDERS[0]

    @cached_property
    def normalizer(self) -> Normalizer[Any]:
        """Return the fitted normaliser; made at the first use.

        Raises:
            ValueError: If the state is not one of a normaliser.
        """
        return normalizer_of(self.state, f'stains {self.id}')

    def fit(self, pixels: np.ndarray | ColourHistogram) -> StainPainter:
        """Measure the stains of an image and return what paints it.

        Args:
            pixels: ``(H, W, 3)`` uint8 RGB, or the histogram of a large image.

        Raises:
            StainFitError: If the image cannot be fitted and the target says so.
        """
        return StainPainter(self.normalizer, self.normalizer.fit_source(pixels))

    def apply(
        self, image: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, str | None]:
        """Resize an image and normalise its stains, in the order of the step.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            shape: Height and width of the result, px.

        Returns:
            The image, and why its stains could not be normalised, if so.
        """
        if self.comes_first:
            painter = self.fit(image)
            return resize_image(painter.paint(image), shape), painter.failure
        resized = resize_image(image, shape)
        fitted = resized
        if not self.normalizer.compatible:
            fitted = without_black(resized, image)
        painter = self.fit(fitted)
        return painter.paint(resized), painter.failure


def stain_of(settings: Mapping[str, Any], place: str) -> StainStep | None:
    """Return the stain step in the settings of a prepared folder or a checkpoint.

    Args:
        settings: The settings; ``stain`` is missing or None where there was no step.
        place: How messages name the place.

    Raises:
        ValueError: If the entry cannot be understood.
    """
    entry = settings.get('stain')
    return StainStep.from_dict(entry, place) if entry else None


def prepare_image(
    image: np.ndarray, shape: tuple[int, int], stain: StainStep | None
) -> tuple[np.ndarray, str | None]:
    """Resize an image and normalise its stains, if there is a step for them.

    Args:
        image: ``(H, W, 3)`` uint8 RGB.
        shape: Height and width of the result, px.
        stain: The stain step; None resizes only.

    Returns:
        The image, and why its stains could not be normalised, if so.
    """
    if stain is None:
        return resize_image(image, shape), None
    return stain.apply(image, shape)


def name_stains(step: StainStep | None, online: Iterable[Normalizer[Any]] = ()) -> str:
    """Name what was done to the stains of images, as checkpoints do.

    Args:
        step: The step of the preparation.
        online: Normalisers of the pipeline, which come later.
    """
    names = [step.name] if step else []
    names += [f'{stain_id(normalizer)} online' for normalizer in online]
    return ', '.join(names) or NO_STAINS


@dataclass(frozen=True)
class Recipe:
    """Say how images become what the network sees.

    Attributes:
        size: Longer side, px; None where images keep their size.
        pixel_size: Median pixel size of the training images, um/px; None if unknown.
        stain: How stains are normalised; None for not at all.
        pixel_size_by_organ: Median pixel size of the training images of each organ for
            which it is known, um/px.
    """

    size: int | None
    pixel_size: float | None
    stain: StainStep | None = None
    pixel_size_by_organ: Mapping[str, float] = field(default_factory=dict, hash=False)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any], place: str) -> Self:
        """Read a recipe from its entry in a checkpoint.

        Args:
            entry: What `to_dict` makes; older ones hold less.
            place: How messages name the checkpoint.

        Raises:
            ValueError: If its sizes or its stain normalisation cannot be understood.
        """
        organs = entry.get('pixel_size_by_organ') or {}
        sizes = dict(size=entry.get('size'), pixel_size=entry.get('pixel_size'))
        if isinstance(organs, Mapping):
            sizes |= {f'pixel_size_by_organ[{o!r}]': um for o, um in organs.items()}
        else:
            sizes |= dict(pixel_size_by_organ=organs)
        for name, value in sizes.items():
            if value is not None and not _is_size(value):
                raise ValueError(
                    f'{place}: {name}={str(value)[:40]!r} of its preparation is not a '
                    f'positive number up to {LARGEST_SIZE}: fetch the file again, or '
                    'prepare the images anew'
                )
        return cls(
            entry.get('size'),
            entry.get('pixel_size'),
            stain_of(entry, place),
            dict(organs),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the entry for checkpoints, of plain values."""
        return dict(
            size=self.size,
            pixel_size=self.pixel_size,
            pixel_size_by_organ=dict(self.pixel_size_by_organ),
            stain=self.stain and self.stain.to_dict(),
        )

    @property
    def stain_name(self) -> str:
        """Name the normalisation as ``HuBMAPDataset`` does."""
        return name_stains(self.stain)

    def at_size(self, size: int) -> Self:
        """Return the recipe of the same images, resized once more.

        Pixel sizes change with the size. They are unknown where the images of this
        recipe have no common size.

        Args:
            size: Longer side, px.
        """
        if size == self.size:
            return self
        scale = self.size / size if self.size else None
        return replace(
            self,
            size=size,
            pixel_size=self.pixel_size * scale if self.pixel_size and scale else None,
            pixel_size_by_organ={
                organ: pixel_size * scale
                for organ, pixel_size in self.pixel_size_by_organ.items()
                if scale
            },
        )

    def pixel_size_of(self, organ: str | None) -> float | None:
        """Return the pixel size of the training images of an organ, um/px.

        Where the organ is not known, or was not trained on, it is that of all images,
        with a warning if the organs differ.
        """
        by_organ = {name.lower(): x for name, x in self.pixel_size_by_organ.items()}
        if organ and organ.lower() in by_organ:
            return by_organ[organ.lower()]
        names = sorted(by_organ, key=by_organ.__getitem__)
        if names and by_organ[names[-1]] > ALIKE * by_organ[names[0]]:
            image = f'images of {organ!r}' if organ else 'images of an unknown organ'
            warnings.warn(
                f'{image} are brought to {self.pixel_size:.3g} um/px, the median of '
                'training, where the organs differ, from '
                f'{by_organ[names[0]]:.3g} ({names[0]}) to {by_organ[names[-1]]:.3g} '
                f'({names[-1]}): give --organ, or --training-pixel-size',
                stacklevel=2,
            )
        return self.pixel_size


def _is_size(value: object) -> bool:
    """Tell whether a value can be a length in px or um/px."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= LARGEST_SIZE
