"""Connected objects of a mask, and the holes in them.

Runs of neighbouring rows that overlap are joined in a graph whose components are the
objects, so no image of labels is ever held. Equal to ``scipy.ndimage``'s ``label`` (in
the same order) and ``binary_fill_holes``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mmseg_ftu.masks.run_mask import RunMask, checked_strips
from mmseg_ftu.masks.run_pairs import run_pairs


@dataclass(frozen=True)
class Objects:
    """The objects of a mask, in the order of their first pixels.

    Args:
        mask: The mask they make up.
        labels: Object of each run of the mask, (R,), 0-based.
        area: Area of each object, (N,), px.
        top: First row of each object, (N,).
        bottom: Row after the last of each object, (N,).
        left: First column of each object, (N,).
        right: Column after the last of each object, (N,).
    """

    mask: RunMask
    labels: np.ndarray
    area: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def __len__(self) -> int:
        return len(self.area)

    @property
    def touches_border(self) -> np.ndarray:
        """Whether the object reaches the image's border, (N,) bool."""
        height, width = self.mask.shape
        inside = (self.top > 0) & (self.bottom < height)
        touches: np.ndarray = ~(inside & (self.left > 0) & (self.right < width))
        return touches

    @cached_property
    def _runs_by_object(self) -> list[np.ndarray]:
        """The places of each object's runs."""
        order = np.argsort(self.labels, kind='stable')
        ends = np.cumsum(np.bincount(self.labels, minlength=len(self)))
        return np.split(order, ends[:-1]) if len(self) else []

    def pixels(
        self, i: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Return the pixels of an object in a box, (height, width) uint8, 0 and 1."""
        alone = self.mask.select(self._runs_by_object[i])
        return alone.part(top, left, height, width)

    def select(self, keep: np.ndarray) -> 'Objects':
        """Return some of the objects; ``keep`` is (N,) bool."""
        new_label = np.cumsum(keep) - 1
        kept_runs = keep[self.labels]
        columns = (self.area, self.top, self.bottom, self.left, self.right)
        return Objects(
            self.mask.select(kept_runs),
            new_label[self.labels[kept_runs]],
            *(column[keep] for column in columns),
        )


def find_objects(mask: RunMask, connectivity: int = 8) -> Objects:
    """Find the connected objects of a mask.

    Args:
        mask: The mask.
        connectivity: 8, where pixels that touch at a corner are one object, or 4.

    Raises:
        ValueError: If the connectivity is another number.
    """
    return objects_of_runs(mask, label_runs(mask, connectivity))


def objects_of_runs(mask: RunMask, labels: np.ndarray) -> Objects:
    """Return the objects that runs belong to.

    Args:
        mask: The mask. Runs of different objects may touch.
        labels: Object of each run, (R,), numbered from 0 without a gap.
    """
    count = int(labels.max(initial=-1)) + 1
    top, left = np.full((2, count), np.iinfo(np.int32).max, np.int32)
    bottom, right = np.zeros((2, count), np.int32)
    np.minimum.at(top, labels, mask.rows)
    np.maximum.at(bottom, labels, mask.rows + 1)
    np.minimum.at(left, labels, mask.starts)
    np.maximum.at(right, labels, mask.stops)
    area = np.bincount(labels, mask.lengths, count).astype(np.int64)
    return Objects(mask, labels, area, top, bottom, left, right)


def label_runs(mask: RunMask, connectivity: int) -> np.ndarray:
    """Return the object of each run, (R,), numbered from 0 by first pixels."""
    if connectivity not in (4, 8):
        raise ValueError(f'connectivity {connectivity}: must be 4 or 8')
    total = len(mask)
    if not total:
        return np.zeros(0, np.int64)
    below, above = run_pairs(mask, mask, -1, 1 if connectivity == 8 else 0)
    graph = coo_array(
        (np.ones(len(below), bool), (below, above)),
        shape=(total, total),
    )
    count, labels = connected_components(graph, directed=False)
    first_run = np.empty(count, np.int64)
    first_run[labels[::-1]] = np.arange(total)[::-1]  # the last one written stays
    rank = np.empty(count, np.int64)
    rank[np.argsort(first_run)] = np.arange(count)
    ranked: np.ndarray = rank[labels]
    return ranked


def fill_holes(mask: RunMask, max_hole_px: float | None = None) -> RunMask:
    """Fill the holes of a mask: background that cannot reach the image's border.

    An island in a hole becomes part of the object around it.

    Args:
        mask: The mask.
        max_hole_px: Leave larger holes open; px of background. None fills all.
    """
    gaps = mask.gaps()
    regions = find_objects(gaps, connectivity=4)  # as objects are 8-connected
    hole = ~regions.touches_border
    if max_hole_px is not None:
        hole &= regions.area <= max_hole_px
    if not hole.any():
        return mask
    return gaps.select(~hole[regions.labels]).gaps()


def mean_probability(objects: Objects, strips: Iterable[np.ndarray]) -> np.ndarray:
    """Average a map over each object.

    Args:
        objects: The objects.
        strips: The map at the mask's size from top to bottom, each (n, W) float.

    Returns:
        (N,) float64.

    Raises:
        ValueError: If the strips do not make up the mask's shape.
    """
    mask = objects.mask
    sums = np.zeros(len(mask))
    for y, strip in checked_strips(strips, mask.shape):
        first, last = np.searchsorted(mask.rows, [y, y + len(strip)])
        if first == last:
            continue
        edges = np.stack([mask.starts[first:last], mask.stops[first:last]], axis=1)
        edges = edges + (mask.rows[first:last, None] - np.int64(y)) * mask.shape[1]
        edges = edges.ravel()
        if edges[-1] == strip.size:  # reduceat wants no index at the end
            edges = edges[:-1]
        sums[first:last] = np.add.reduceat(strip.ravel(), edges)[::2]
    means: np.ndarray = np.bincount(objects.labels, sums, len(objects)) / objects.area
    return means
