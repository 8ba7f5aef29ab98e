"""The perimeter of objects, computed from runs.

The estimator is that of scikit-image's ``regionprops`` (``perimeter``, neighbourhood 4;
Benkrid and Crookes): each border pixel, one with a pixel of another kind above, below,
left or right of it, adds 1, sqrt(2), their mean or nothing, by the border pixels around
it. Outlines of holes count.
"""

import numpy as np

from mmseg_ftu.masks.objects import Objects
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.masks.run_pairs import run_pairs

#: What a border pixel adds: index 1 + 2 * (border pixels beside) + 10 * (at corners).
WEIGHTS = np.zeros(50)
WEIGHTS[[5, 7, 15, 17, 25, 27]] = 1
WEIGHTS[[21, 33]] = np.sqrt(2)
WEIGHTS[[13, 23]] = (1 + np.sqrt(2)) / 2


def perimeters(objects: Objects) -> np.ndarray:
    """Return the perimeter of each object, (N,), px; 0 for a single pixel.

    Args:
        objects: The objects; those of different labels may touch.
    """
    places, owners = _border_pixels(objects)
    length = objects.mask.shape[1] + 3
    codes = np.ones(len(places), np.int64)
    # each pair of neighbours is met once: right, and the three below
    steps = ((1, 2), (length, 2), (length - 1, 10), (length + 1, 10))
    for step, weight in steps:
        found = np.searchsorted(places, places + step)
        found[found == len(places)] = 0
        is_there = (places[found] == places + step) & (owners[found] == owners)
        codes[is_there] += weight
        codes[found[is_there]] += weight
    return np.bincount(owners, WEIGHTS[codes], len(objects))


def _border_pixels(objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Return place and object of the border pixels, (P,) each, sorted by place.

    A place is the row times (width + 3), plus the column: a step to the side never
    leads into another row.
    """
    mask, length = objects.mask, np.int64(objects.mask.shape[1] + 3)
    run, starts, stops = _inner(objects)
    base = mask.rows * length
    begins = np.sort(np.concatenate([base + mask.starts, base[run] + stops]))
    ends = np.sort(np.concatenate([base + mask.stops, base[run] + starts]))
    lengths = ends - begins
    before = np.cumsum(lengths) - lengths
    places = np.arange(lengths.sum()) + np.repeat(begins - before, lengths)
    owner = np.searchsorted(base + mask.starts, places, 'right') - 1
    return places, objects.labels[owner]


def _inner(objects: Objects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return run, start and stop of what has its own kind on all four sides."""
    mask = objects.mask
    run_of, above = _covered(objects, -1)
    _, below = _covered(objects, 1)
    one, other = run_pairs(above, below)
    run = run_of[one]
    # two stretches in one row that share columns lie in one run
    starts = np.maximum(above.starts[one], below.starts[other])
    stops = np.minimum(above.stops[one], below.stops[other])
    starts = np.maximum(starts, mask.starts[run] + 1)
    stops = np.minimum(stops, mask.stops[run] - 1)
    some = starts < stops
    return run[some], starts[some], stops[some]


def _covered(objects: Objects, step: int) -> tuple[np.ndarray, RunMask]:
    """Return the parts of runs that have their own object above or below, by run."""
    mask, labels = objects.mask, objects.labels
    run, other = run_pairs(mask, mask, step)
    same = labels[run] == labels[other]
    run, other = run[same], other[same]
    starts = np.maximum(mask.starts[run], mask.starts[other])
    stops = np.minimum(mask.stops[run], mask.stops[other])
    return run, RunMask(mask.shape, mask.rows[run], starts, stops)
