"""Percentiles of weighted samples."""

import numpy as np

BINS = 1024  # only the bins around a percentile are sorted


def weighted_percentile(
    values: np.ndarray, weights: np.ndarray, percentile: float
) -> float:
    """Return a percentile of values that occur ``weights`` times.

    A value of weight w stands for w samples that fill its place among the sorted ones;
    between the middles of two neighbours the result is interpolated.

    Args:
        values: ``(n,)``, at least one, finite.
        weights: ``(n,)``, positive.
        percentile: 0..100.
    """
    low, high = values.min(), values.max()
    if low == high:
        return float(low)
    place = ((values - low) * ((BINS - 1) / (high - low))).astype(np.intp)
    mass = np.bincount(place, weights, BINS)
    ends = np.cumsum(mass)
    goal = percentile / 100 * ends[-1]
    middle = min(int(np.searchsorted(ends, goal)), BINS - 1)
    filled = np.flatnonzero(mass)
    first = filled[max(int(np.searchsorted(filled, middle)) - 1, 0)]
    last = filled[min(int(np.searchsorted(filled, middle, 'right')), len(filled) - 1)]
    near = np.flatnonzero((place >= first) & (place <= last))
    near = near[np.argsort(values[near], kind='stable')]
    middles = ends[first] - mass[first] + np.cumsum(weights[near]) - weights[near] / 2
    return float(np.interp(goal, middles, values[near]))
