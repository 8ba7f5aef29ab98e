"""What the three normalisers share: fit a target, fit a source, apply.

    normalizer = VahadaneNormalizer().fit(target)
    out = normalizer.transform(image)

is short for

    source = normalizer.fit_source(image)  # source.reason says why it failed, if so
    out = normalizer.apply(image, source)

and the long form serves slides: fit the source once, on a thumbnail or on a
`ColourHistogram` filled tile by tile, and apply it to each tile. The tiles equal the
same region of the whole image, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar

import numpy as np

from mmseg_ftu.stain.histogram import ColourHistogram
from mmseg_ftu.stain.policy import POLICIES, StainFitError
from mmseg_ftu.stain.rgb import check_rgb
from mmseg_ftu.stain.stain_fit import Fit

#: Version of a state that measures over tissue, and of one that is `compatible`, as
#: all were before. The number is part of ``stain_id``.
STATE_VERSION, COMPATIBLE_VERSION = 2, 1
Pixels = np.ndarray | ColourHistogram
F = TypeVar('F', bound=Fit)


class Normalizer(ABC, Generic[F]):
    """Give images the colours of a target.

    Args:
        on_failure: What an image gets that cannot be fitted (white, black, one stain,
            ...): ``'identity'`` leaves it as it is, ``'target'`` takes the target's own
            stains for its own unless its colours are far from them, ``'raise'`` raises
            `StainFitError`.
        compatible: False measures strengths (Reinhard: mean and spread) over the
            tissue alone, so that the share of glass does not matter. True measures
            over all pixels, as staintools does: the less of the image tissue covers,
            the darker it gets. A saved state keeps the choice.

    Attributes:
        target: What was measured on the target; None before `fit`.

    Raises:
        ValueError: If ``on_failure`` is another word.
    """

    fit_type: type[F]

    def __init__(
        self, on_failure: str = 'identity', *, compatible: bool = False
    ) -> None:
        if on_failure not in POLICIES:
            raise ValueError(f'on_failure={on_failure!r}: choose from {POLICIES}')
        self.on_failure, self.compatible = on_failure, compatible
        self.target: F | None = None

    def fit(self, target: Pixels) -> Self:
        """Measure the target.

        Args:
            target: ``(H, W, 3)`` uint8, RGB, or the histogram of a slide.

        Returns:
            The normaliser itself.

        Raises:
            StainFitError: If the target cannot be fitted, whatever ``on_failure`` is.
            ValueError: If it is not RGB uint8.
        """
        fit = self._measure(target)
        if fit.reason is not None:
            raise StainFitError(fit.reason, 'target')
        self.target = fit
        return self

    def measure(self, image: Pixels) -> F:
        """Measure an image, whatever the target and ``on_failure`` are.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the histogram of a slide.

        Returns:
            A fit; ``reason`` tells why the image could not be fitted.

        Raises:
            ValueError: If it is not RGB uint8.
        """
        return self._measure(image)

    def fit_source(self, image: Pixels) -> F:
        """Measure an image that is to be normalised.

        Args:
            image: ``(H, W, 3)`` uint8, RGB, or the histogram of a slide.

        Returns:
            What `apply` needs; ``reason`` tells why the image could not be fitted.

        Raises:
            StainFitError: If it cannot be fitted and ``on_failure`` is ``'raise'``.
            ValueError: If it is not RGB uint8, or no target was fitted.
        """
        self._require_target()
        fit = self._measure(image)
        if fit.reason is None or self.on_failure == 'identity':
            return fit
        if self.on_failure == 'raise':
            raise StainFitError(fit.reason)
        return self._stand_in(image, fit.reason)

    def apply(self, image: np.ndarray, source: Fit) -> np.ndarray:
        """Give an image, or a part of it, the target's colours.

        Args:
            image: ``(H, W, 3)`` uint8, RGB. Not modified.
            source: Fit by `fit_source` of this image, or of the whole that it is a part
                of.

        Returns:
            ``(H, W, 3)`` uint8, RGB, C-contiguous, of its own memory.

        Raises:
            ValueError: If the image is not RGB uint8, the source is of another kind, or
                no target was fitted.
        """
        self._require_target()
        check_rgb(image)
        if not isinstance(source, self.fit_type):
            raise ValueError(
                f'source is a {type(source).__name__}: expected the '
                f'{self.fit_type.__name__} that fit_source returns'
            )
        if not source.found:
            return np.array(image, order='C')
        return self._paint(image, source)

    def transform(self, image: np.ndarray) -> np.ndarray:
        """Return the image in the target's colours; see `fit_source` and `apply`."""
        return self.apply(image, self.fit_source(image))

    def state_dict(self) -> dict[str, Any]:
        """Return the settings and the fitted target, fit for JSON."""
        target = self._require_target()
        return {
            'version': COMPATIBLE_VERSION if self.compatible else STATE_VERSION,
            'type': type(self).__name__,
            **self._settings(),
            'target': target.state_dict(),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Self:
        """Return a fitted normaliser.

        Raises:
            ValueError: If the state is of another class or version, or incomplete.
        """
        settings = dict(state)
        found = settings.pop('type', None), settings.pop('version', None)
        versions = STATE_VERSION, COMPATIBLE_VERSION
        if found[0] != cls.__name__ or found[1] not in versions:
            raise ValueError(
                f'state is of type {found[0]!r}, version {found[1]!r}: expected '
                f'{cls.__name__!r}, {STATE_VERSION} or {COMPATIBLE_VERSION}; fit the '
                'target again'
            )
        if 'target' not in settings:
            raise ValueError(f'state of a {cls.__name__} has no target; fit it again')
        target = cls.fit_type.from_state_dict(settings.pop('target'))
        compatible = found[1] == COMPATIBLE_VERSION
        normalizer = cls(**settings, compatible=compatible)
        normalizer.target = target
        return normalizer

    def _settings(self) -> dict[str, Any]:
        """Return the arguments of ``__init__``, but for ``compatible``."""
        return {'on_failure': self.on_failure}

    def _stand_in(self, image: Pixels, reason: str) -> F:
        """Return the target's values for an image that cannot be fitted."""
        return replace(self._require_target(), reason=reason)

    def _require_target(self) -> F:
        """Return the target, or raise ValueError."""
        if self.target is None:
            raise ValueError(f'{type(self).__name__} has no target: call fit first')
        return self.target

    @abstractmethod
    def _measure(self, image: Pixels) -> F:
        """Return the fit of an image, with a reason and no values if it fails."""

    @abstractmethod
    def _paint(self, image: np.ndarray, source: F) -> np.ndarray:
        """Return the image in the target's colours; source and image are checked."""
