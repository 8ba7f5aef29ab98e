"""Percentiles of weighted samples."""

from collections.abc import Sequence

import numpy as np


def weighted_percentile(
    values: np.ndarray, weights: np.ndarray, percentiles: Sequence[float]
) -> np.ndarray:
    """Return percentiles of values that occur ``weights`` times.

    A value of weight w stands for w samples that fill its place among the sorted ones;
    between the middles of two neighbours the result is interpolated.

    Args:
        values: ``(n,)``, at least one.
        weights: ``(n,)``, non-negative, not all zero.
        percentiles: Each 0..100.

    Returns:
        One value for each percentile.
    """
    order = np.argsort(values, kind='stable')
    weights = weights[order]
    ends = np.cumsum(weights)
    middles = ends - weights / 2
    return np.interp(np.asarray(percentiles) / 100 * ends[-1], middles, values[order])
