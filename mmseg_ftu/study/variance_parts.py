"""The parts that patients, folds or seeds have in the variance of scores."""

from collections.abc import Mapping

import numpy as np

Array = np.ndarray


def variance_parts(values: Array, groups: Mapping[str, Array]) -> dict[str, float]:
    """Split the variance of scores into parts, by the method of moments.

    MINQUE(0): for balanced data that is the analysis of variance. A part that comes out
    below 0 is 0, and the others are found anew without it.

    Args:
        values: Scores, ``(scores,)``.
        groups: Name of a part -> the group of each score, ``(scores,)``, such as its
            patient.

    Returns:
        Variance of each part, and of the rest, ``residual``.
    """
    parts = {**groups, 'residual': np.arange(len(values))}
    while True:
        found = _moments(values, parts)
        negative = [name for name in parts if found[name] < 0]
        if not negative:
            return {name: found.get(name, 0.0) for name in (*groups, 'residual')}
        del parts[min(negative, key=found.__getitem__)]


def _moments(values: Array, groups: Mapping[str, Array]) -> dict[str, float]:
    """Solve the equations between quadratic forms and their expectations."""
    n = len(values)
    centred = values - values.mean()
    member = [np.eye(g.max() + 1)[g] for g in map(_codes, groups.values())]
    matrix, right = np.empty((len(member),) * 2), np.empty(len(member))
    for i, one in enumerate(member):
        counts = one.sum(axis=0)
        for j, other in enumerate(member):
            cross = one.T @ other - np.outer(counts, other.sum(axis=0)) / n
            matrix[i, j] = (cross**2).sum()
        right[i] = ((one.T @ centred) ** 2).sum()
    solved = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return dict(zip(groups, solved.tolist(), strict=True))


def _codes(group: Array) -> Array:
    codes: Array = np.unique(group, return_inverse=True)[1]
    return codes
