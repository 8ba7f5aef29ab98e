"""Which runs of two masks share columns: the step that all work on runs is built on."""

import numpy as np

from mmseg_ftu.masks.run_mask import RunMask


def run_pairs(
    mask: RunMask, other: RunMask, step: int = 0, reach: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Find the pairs of runs that share columns.

    Args:
        mask: A mask.
        other: Another mask of the same shape, or the same.
        step: Rows from a run of ``mask`` to those of ``other`` that are looked at: -1
            for the row above, 1 for the row below.
        reach: 1 counts runs, too, that touch at a corner only.

    Returns:
        Run of ``mask`` and run of ``other`` of each pair, (P,) each, sorted by the
        first and then by the second.

    Raises:
        ValueError: If the masks differ in shape.
    """
    if mask.shape != other.shape:
        raise ValueError(f'masks of {mask.shape} and {other.shape} px have no pairs')
    # Such runs are neighbours in the list: first[i] <= j < last[i].
    length = np.int64(mask.shape[1] + 3)  # so that reaching out never meets a next row
    base = (mask.rows + np.int64(step)) * length
    row = other.rows * length
    first = np.searchsorted(row + other.stops, base + mask.starts - reach, 'right')
    last = np.searchsorted(row + other.starts, base + mask.stops + reach, 'left')
    counts = np.maximum(last - first, 0)
    one = np.repeat(np.arange(len(mask)), counts)
    offset = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
    return one, np.repeat(first, counts) + offset
