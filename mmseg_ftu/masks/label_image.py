"""Objects that touch: an image of labels, in which each object has a number of its own.

Two objects of a binary mask never touch, as they would be one. Those of a label image
(an instance map) may.
"""

import numpy as np

from mmseg_ftu.masks.objects import Objects, objects_of_runs
from mmseg_ftu.masks.run_mask import STRIP_PIXELS, RunMask


def objects_of_labels(labels: np.ndarray) -> tuple[Objects, np.ndarray]:
    """Return the objects of a label image; parts of one label that lie apart are one.

    Args:
        labels: (H, W) of integers or bool; 0 is background.

    Returns:
        The objects, sorted by their labels, and the label of each, (N,).
    """
    height, width = labels.shape
    step = max(1, STRIP_PIXELS // max(width, 1))
    found = [np.zeros((4, 0), np.int64)]
    found += [_runs(labels[y : y + step], y) for y in range(0, height, step)]
    rows, starts, stops, values = np.concatenate(found, axis=1)
    names, of_run = np.unique(values, return_inverse=True)
    runs = (column.astype(np.int32) for column in (rows, starts, stops))
    return objects_of_runs(RunMask((height, width), *runs), of_run), names


def _runs(strip: np.ndarray, y: int) -> np.ndarray:
    """Return rows, starts, stops and labels of a strip's runs, (4, R) int64."""
    height, width = strip.shape
    framed = np.zeros((height, width + 2), np.int64)
    framed[:, 1:-1] = strip
    left, right = framed[:, :-1], framed[:, 1:]
    begins = np.nonzero((left != right) & (right != 0))
    ends = np.nonzero((left != right) & (left != 0))
    return np.stack([begins[0] + y, begins[1], ends[1], right[begins]])
