"""Hausdorff distances between objects, exact, in the boxes that they lie in."""

from collections.abc import Callable

import cv2
import numpy as np

from mmseg_ftu.masks.objects import Objects


class HausdorffDistances:
    """Hausdorff distances between the objects of two masks, computed on demand.

    The distance of two sets of pixels is the largest distance of a pixel of either to
    the nearest of the other.

    Args:
        objects: Objects of one mask.
        others: Objects of the other, of the same shape.
    """

    def __init__(self, objects: Objects, others: Objects) -> None:
        self.objects, self.others = objects, others
        self._known: dict[tuple[int, int], float] = {}

    def between(self, i: int, j: int) -> float:
        """Return the distance of object ``i`` and other object ``j``, px."""
        if (i, j) not in self._known:
            self._known[i, j] = self._measure(i, j)
        return self._known[i, j]

    def nearest(self, i: int) -> float:
        """Return the distance of object ``i`` to the nearest other object, px."""
        bounds = _bounds(self.objects, i, self.others)
        return _least(bounds, lambda j: self.between(i, j))

    def nearest_to(self, j: int) -> float:
        """Return the distance of other object ``j`` to the nearest object, px."""
        bounds = _bounds(self.others, j, self.objects)
        return _least(bounds, lambda i: self.between(i, j))

    def _measure(self, i: int, j: int) -> float:
        a, b = self.objects, self.others
        top, left = min(a.top[i], b.top[j]), min(a.left[i], b.left[j])
        height = max(a.bottom[i], b.bottom[j]) - top
        width = max(a.right[i], b.right[j]) - left
        box = int(top), int(left), int(height), int(width)
        one, other = a.pixels(i, *box), b.pixels(j, *box)
        return max(_farthest(one, other), _farthest(other, one))


def _bounds(objects: Objects, i: int, others: Objects) -> np.ndarray:
    """Return what the distance to each other is at least: by so much boxes differ."""
    sides = [
        abs(getattr(others, side).astype(np.int64) - getattr(objects, side)[i])
        for side in ('top', 'bottom', 'left', 'right')
    ]
    bounds: np.ndarray = np.max(sides, axis=0)
    return bounds


def _least(bounds: np.ndarray, measure: Callable[[int], float]) -> float:
    """Measure in the order of what a distance is at least, as far as needed."""
    best = np.inf
    for k in np.argsort(bounds, kind='stable').tolist():
        if bounds[k] >= best:
            break
        best = min(best, measure(k))
    return best


def _farthest(pixels: np.ndarray, others: np.ndarray) -> float:
    """Return the largest distance of a pixel to the nearest of others, px."""
    to_others = cv2.distanceTransform(1 - others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float(to_others[pixels > 0].max())
