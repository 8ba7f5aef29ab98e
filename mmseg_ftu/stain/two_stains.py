"""Normalisers that separate an image into two stains: Vahadane and Macenko."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_ftu.stain.histogram import ColourHistogram
from mmseg_ftu.stain.macenko import macenko_stains
from mmseg_ftu.stain.normalizer import Normalizer, Pixels
from mmseg_ftu.stain.optical_density import APPLY_PENALTY, codes
from mmseg_ftu.stain.percentile import weighted_percentile
from mmseg_ftu.stain.policy import (
    check_colours,
    check_stains,
    check_strengths,
    keeps_brightness,
)
from mmseg_ftu.stain.recolour import recolour
from mmseg_ftu.stain.stain_fit import StainFit
from mmseg_ftu.stain.tissue import find_tissue, without_glass
from mmseg_ftu.stain.vahadane import vahadane_stains

if TYPE_CHECKING:
    from mmseg_ftu.stain.staintools_backend import StaintoolsVahadane

STRENGTH_PERCENTILE = 99  # staintools: StainNormalizer
BACKENDS = ('exact', 'staintools')


class TwoStainNormalizer(Normalizer[StainFit]):
    """Separate, scale each stain to the target's strength, paint in its colours."""

    fit_type = StainFit

    @abstractmethod
    def _stains(self, density: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return ``(2, 3)`` stains of densities ``(3, n)`` that occur so often."""

    def _measure(self, image: Pixels) -> StainFit:
        tissue = find_tissue(ColourHistogram.of(image).cells(), self.compatible)
        if tissue.reason is not None:
            return StainFit(tissue.reason)
        density, weights = tissue.cells.densities(), tissue.cells.counts
        reason = check_colours(density, weights)
        if reason is not None:
            return StainFit(reason)
        stains = self._stains(density, weights)
        reason = check_stains(stains)
        if reason is not None:
            return StainFit(reason)
        if tissue.measured is not tissue.cells:
            density, weights = tissue.measured.densities(), tissue.measured.counts
        strengths = _strengths(density, weights, stains)
        reason = check_strengths(strengths)
        return StainFit(reason) if reason else StainFit(None, stains, strengths)

    def _stand_in(self, image: Pixels, reason: str) -> StainFit:
        cells = ColourHistogram.of(image).cells()
        density, (stains, _) = cells.densities(), self._require_target().values
        amounts = codes(density, stains, APPLY_PENALTY)
        painted = np.einsum('sc,sn->cn', stains, amounts)
        counts = cells.counts if self.compatible else without_glass(cells)
        if not keeps_brightness(density, painted, counts):
            return StainFit(reason)
        return super()._stand_in(image, reason)

    def _paint(self, image: np.ndarray, source: StainFit) -> np.ndarray:
        stains, _ = source.values
        return recolour(image, stains, paint_of(source, self._require_target()))


class MacenkoNormalizer(TwoStainNormalizer):
    """Macenko's stain normalisation; see `macenko_stains`.

    Concentrations are the same non-negative lasso as Vahadane's, as in staintools.
    """

    def _stains(self, density: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return macenko_stains(density, weights)


class VahadaneNormalizer(TwoStainNormalizer):
    """Vahadane's stain normalisation; see `vahadane_stains`.

    Args:
        on_failure: Word for what to do with an image that cannot be fitted, as in
            `Normalizer`.
        backend: Implementation of the fit: ``'exact'``, or ``'staintools'`` for the
            original by staintools and SPAMS: much slower, another result on each run,
            and no histograms.
        compatible: Whether strengths are measured over all pixels, as in `Normalizer`.

    Raises:
        ImportError: If the backend is not installed.
        ValueError: If ``on_failure`` or ``backend`` is another word.

    Example:
        >>> normalizer = VahadaneNormalizer().fit(target)  # doctest: +SKIP
        >>> normalizer.transform(image)  # doctest: +SKIP
    """

    def __init__(
        self,
        on_failure: str = 'identity',
        backend: str = 'exact',
        *,
        compatible: bool = False,
    ) -> None:
        super().__init__(on_failure, compatible=compatible)
        if backend not in BACKENDS:
            raise ValueError(f'backend={backend!r}: choose from {BACKENDS}')
        self.backend = backend
        self._original: StaintoolsVahadane | None = None
        if backend == 'staintools':
            from mmseg_ftu.stain.staintools_backend import StaintoolsVahadane

            self._original = StaintoolsVahadane()

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), 'backend': self.backend}

    def _stains(self, density: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return vahadane_stains(density, weights)

    def _measure(self, image: Pixels) -> StainFit:
        if self._original is None:
            return super()._measure(image)
        return self._original.measure(image, self.compatible)

    def _paint(self, image: np.ndarray, source: StainFit) -> np.ndarray:
        if self._original is None:
            return super()._paint(image, source)
        paint = paint_of(source, self._require_target())
        return self._original.paint(image, source, paint)


def paint_of(source: StainFit, target: StainFit) -> np.ndarray:
    """Return what a unit of each source stain becomes, ``(2, 3)`` optical density."""
    _, source_strengths = source.values
    stains, strengths = target.values
    paint: np.ndarray = stains * (strengths / source_strengths)[:, None]
    return paint


def _strengths(
    density: np.ndarray, weights: np.ndarray, stains: np.ndarray
) -> np.ndarray:
    """Return the 99th percentile of each stain over weighted densities, ``(2,)``."""
    return np.array(
        [
            weighted_percentile(values, weights, STRENGTH_PERCENTILE)
            for values in codes(density, stains, APPLY_PENALTY)
        ]
    )
