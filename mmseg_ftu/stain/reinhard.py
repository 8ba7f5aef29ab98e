"""Reinhard's colour transfer: the target's mean and spread in CIE Lab.

E. Reinhard et al., "Color transfer between images", 2001. In the Lab of OpenCV's eight
bits and cut off to whole levels, as in staintools 2.1.2, but over the tissue, so that
the share of glass does not matter. The method knows no stains, so glass changes its
colour along with the tissue.
"""

import cv2
import numpy as np

from mmseg_ftu.stain.histogram import ColourCells, ColourHistogram
from mmseg_ftu.stain.normalizer import Normalizer, Pixels
from mmseg_ftu.stain.policy import FAINT_COLOUR
from mmseg_ftu.stain.recolour import ROWS
from mmseg_ftu.stain.rgb import row_blocks
from mmseg_ftu.stain.stain_fit import LabFit
from mmseg_ftu.stain.tissue import find_tissue

LEAST_STD = 0.5  # of L, a and b; less is rounding, and division would blow it up


class ReinhardNormalizer(Normalizer[LabFit]):
    """Shift and scale L, a and b to the target's mean and spread."""

    fit_type = LabFit

    def _measure(self, image: Pixels) -> LabFit:
        tissue = find_tissue(ColourHistogram.of(image).cells(), self.compatible)
        if tissue.reason is not None:
            return LabFit(tissue.reason)
        mean, std = _lab_moments(tissue.measured)
        if std.min() < LEAST_STD:
            return LabFit(FAINT_COLOUR)
        return LabFit(None, mean, std)

    def _paint(self, image: np.ndarray, source: LabFit) -> np.ndarray:
        mean, std = source.values
        target_mean, target_std = self._require_target().values
        levels = np.arange(256)[:, None]
        table = (levels - mean) * (target_std / std) + target_mean
        table = np.clip(table, 0, 255).astype(np.uint8)[:, None]  # (256, 1, 3)
        out = np.empty(image.shape, np.uint8)
        for rows in row_blocks(image, ROWS):
            part = np.ascontiguousarray(image[rows])
            lab = cv2.LUT(cv2.cvtColor(part, cv2.COLOR_RGB2LAB), table)
            cv2.cvtColor(lab, cv2.COLOR_LAB2RGB, dst=out[rows])
        return out


def _lab_moments(cells: ColourCells) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of L, a and b, ``(3,)`` each, 0..255."""
    labs = [
        cv2.cvtColor(cells.colours(corner)[:, None], cv2.COLOR_RGB2LAB)[:, 0]
        for corner in (0, 7)
    ]
    lab = np.mean(labs, axis=0, dtype=np.float64)
    weights = cells.counts / cells.counts.sum()
    mean = np.einsum('n,nc->c', weights, lab)
    return mean, np.sqrt(np.einsum('n,nc->c', weights, (lab - mean) ** 2))
