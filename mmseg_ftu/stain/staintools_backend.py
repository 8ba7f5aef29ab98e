"""Vahadane's method by the original, staintools and SPAMS, for those who want it.

An optional extra, as SPAMS is under the GPL. Imported only when asked for.
"""

import numpy as np

from mmseg_ftu.stain.histogram import ColourHistogram
from mmseg_ftu.stain.normalizer import Pixels
from mmseg_ftu.stain.optical_density import tissue_mask
from mmseg_ftu.stain.policy import check_colours, check_stains, check_strengths
from mmseg_ftu.stain.rgb import check_rgb
from mmseg_ftu.stain.stain_fit import StainFit
from mmseg_ftu.stain.tissue import find_tissue


class StaintoolsVahadane:
    """Fit and paint with staintools, behind our checks, on copies of the image.

    Raises:
        ImportError: If staintools or SPAMS is missing.
    """

    def __init__(self) -> None:
        try:
            from staintools.miscellaneous.get_concentrations import get_concentrations
            from staintools.stain_extraction.vahadane_stain_extractor import (
                VahadaneStainExtractor,
            )
        except ImportError as error:
            raise ImportError(
                f"backend='staintools' needs staintools and SPAMS ({error}): "
                "pip install 'mmseg_ftu[staintools]'"
            ) from error
        self._extract = VahadaneStainExtractor.get_stain_matrix
        self._concentrations = get_concentrations

    def measure(self, image: Pixels, compatible: bool = False) -> StainFit:
        """Return the stains that SPAMS found within its second.

        Args:
            image: ``(H, W, 3)`` uint8, RGB.
            compatible: Measure strengths over all pixels, see `Normalizer`.

        Raises:
            ValueError: If the image is a histogram, or is not RGB uint8.
        """
        if isinstance(image, ColourHistogram):
            raise ValueError(
                "a histogram came, but backend='staintools' fits images only; pass a "
                "thumbnail or take backend='exact'"
            )
        cells = ColourHistogram.of(check_rgb(image)).cells()
        tissue = find_tissue(cells, compatible)
        reason = tissue.reason or check_colours(
            tissue.cells.densities(), tissue.cells.counts
        )
        if reason is not None:
            return StainFit(reason)
        pixels: np.ndarray = image
        if not compatible and tissue.black:
            pixels = image[image.max(axis=2) >= tissue.black][:, None]
        stains = self._extract(pixels.copy())  # it writes into its argument
        reason = check_stains(stains)
        if reason is not None:
            return StainFit(reason)
        codes = self._concentrations(pixels.copy(), stains)
        if not compatible:
            codes = codes[tissue_mask(pixels).ravel()]
        strengths = np.percentile(codes, 99, axis=0)
        reason = check_strengths(strengths)
        return StainFit(reason) if reason else StainFit(None, stains, strengths)

    def paint(
        self, image: np.ndarray, source: StainFit, paint: np.ndarray
    ) -> np.ndarray:
        """Return the image with its stains replaced, ``(H, W, 3)`` uint8."""
        codes: np.ndarray = self._concentrations(image.copy(), source.stains)
        light: np.ndarray = 255 * np.exp(-codes @ paint)
        return light.reshape(image.shape).astype(np.uint8)
