"""Outlines that count from the scanned part of a slide, brought to its canvas."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely

from mmseg_ftu.masks.annotations import Annotation


def shifted(
    annotations: Sequence[Annotation], corner: tuple[int, int]
) -> list[Annotation]:
    """Return outlines that count from the corner of the image.

    Args:
        annotations: The outlines.
        corner: Row and column that they count from, px.
    """
    if not any(corner):
        return list(annotations)
    start = np.array(corner[::-1])
    return [
        replace(a, outline=shapely.transform(a.outline, lambda xy: xy + start))
        for a in annotations
    ]
