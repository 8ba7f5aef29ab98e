"""Ratios of times that were measured by turns, as tables show them."""

from collections.abc import Sequence
from statistics import median


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return how many times slower they were, round by round."""
    return [t / o for t, o in zip(theirs, ours, strict=True)]


def ratio_cell(values: Sequence[float]) -> str:
    """Return the median and the range, such as ``1.31 (1.25 to 1.43)``."""
    return f'{median(values):.2f} ({min(values):.2f} to {max(values):.2f})'
