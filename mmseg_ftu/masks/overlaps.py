"""How much objects of two masks overlap, computed from runs."""

from typing import NamedTuple

import numpy as np

from mmseg_ftu.masks.objects import Objects
from mmseg_ftu.masks.run_pairs import run_pairs


class Overlaps(NamedTuple):
    """Pairs of objects that share pixels.

    Attributes:
        one: Object of the first mask, (P,); sorted.
        other: Object of the second mask, (P,); sorted for each of the first.
        area: Pixels that they share, (P,), px.
    """

    one: np.ndarray
    other: np.ndarray
    area: np.ndarray


def overlaps(objects: Objects, others: Objects) -> Overlaps:
    """Return the pairs of objects of two masks that share pixels.

    Args:
        objects: Objects of the first mask.
        others: Objects of the second mask, of the same shape.

    Raises:
        ValueError: If the masks differ in shape.
    """
    a, b = objects.mask, others.mask
    i, j = run_pairs(a, b)
    shared = np.minimum(a.stops[i], b.stops[j]) - np.maximum(a.starts[i], b.starts[j])
    count = np.int64(max(len(others), 1))
    pairs, which = np.unique(
        objects.labels[i] * count + others.labels[j], return_inverse=True
    )
    area = np.bincount(which, shared, len(pairs)).astype(np.int64)
    return Overlaps(pairs // count, pairs % count, area)
