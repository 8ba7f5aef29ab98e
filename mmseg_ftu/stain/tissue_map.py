"""Where an image has tissue."""

import numpy as np

from mmseg_ftu.stain.histogram import CELLS, ColourHistogram
from mmseg_ftu.stain.tissue import find_tissue

TISSUE_SIDE = 1024  # px of the picture on which tissue is found


def tissue_map(rgb: np.ndarray) -> np.ndarray:
    """Return which pixels are tissue, (H, W) bool.

    Tissue is what stain strengths are measured on: dark enough, and in pale sections
    the coloured parts too; see ``stain.tissue``. White lumina are not tissue.

    Args:
        rgb: (H, W, 3) uint8.
    """
    tissue = find_tissue(ColourHistogram.of(rgb).cells())
    kept = tissue.cells if tissue.reason else tissue.measured
    is_of_tissue = np.zeros(CELLS**3, bool)
    is_of_tissue[kept.index] = True
    red, green, blue = (rgb[..., i].astype(np.int32) // 2 for i in range(3))
    found: np.ndarray = is_of_tissue[(red * CELLS + green) * CELLS + blue]
    return found
