"""What Vahadane's fit minimises, with its first and second derivative.

Over the densities x of tissue, with concentrations a >= 0 and the two stains as
non-negative unit rows:

    mean(0.5 |x - a @ stains|^2 + 0.1 sum(a))

The concentrations that are best for given stains have a closed form (`codes`), which
leaves a function of the stains alone.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from mmseg_ftu.stain.optical_density import codes

PENALTY = 0.1  # staintools: VahadaneStainExtractor(regularizer)
PARALLEL = 1 - 1e-8  # cosine beyond which two stains cannot be told apart
DIFFERENCE = 1e-3  # of the numeric second derivative, radians

#: Stains ``(2, 3)`` -> objective and its gradient ``(2, 3)``.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
#: Stains ``(2, 3)``, directions ``(k, 2, 3)`` -> second derivatives ``(k, k)``.
Curvature = Callable[[np.ndarray, np.ndarray], np.ndarray]


def objective_of(density: np.ndarray, weights: np.ndarray) -> Objective:
    """Return a function: stains -> objective and its gradient, ``(2, 3)``.

    By the envelope theorem the codes count as constants, so that their moments hold
    the objective and the gradient.
    """
    density = np.ascontiguousarray(density)
    weights = weights / weights.sum()
    square = np.einsum('n,cn,cn->', weights, density, density)

    def evaluate(stains: np.ndarray) -> tuple[float, np.ndarray]:
        if (stains[0] * stains[1]).sum() > PARALLEL:
            return np.inf, np.zeros((2, 3))
        a = codes(density, stains, PENALTY)
        weighted = a * weights
        among = np.einsum('in,jn->ij', weighted, a)
        with_density = np.einsum('in,cn->ic', weighted, density)
        value = 0.5 * (square + (among * (stains @ stains.T)).sum())
        value += PENALTY * weighted.sum() - (stains * with_density).sum()
        return float(value), among @ stains - with_density

    return evaluate


def curvature_of(density: np.ndarray, weights: np.ndarray) -> Curvature:
    """Return a function: stains, directions ``(k, 2, 3)`` -> second derivatives.

    Among the colours that use the same stains S, the objective is a function of the
    moments M of (1, x): ``-0.5 tr((D D')^-1 B M B')`` with ``B = [-penalty, D]`` and
    ``D`` the stains in S. Its differences cost nothing, as no colour is touched.
    """
    weights = weights / weights.sum()
    points = np.concatenate([np.ones((1, density.shape[1])), density])
    products = (points[:, None] * points * weights).reshape(16, -1)

    def differentiate(stains: np.ndarray, basis: np.ndarray) -> np.ndarray:
        first, second = codes(density, stains, PENALTY) > 0
        used = np.stack([first & second, first & ~second, second & ~first])
        moments = np.einsum('sn,mn->sm', used.astype(np.float64), products)
        moments = moments.reshape(3, 4, 4)
        grid, pick = _difference_grid(len(basis))
        moved = stains + DIFFERENCE * np.einsum('pk,kij->pij', grid, basis)
        values = _value_of_moments(on_sphere(moved), moments)
        second_derivatives: np.ndarray = np.einsum('abp,p->ab', pick, values)
        return second_derivatives / DIFFERENCE**2

    return differentiate


def _value_of_moments(stains: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Return the objective less a constant, ``(p,)``.

    Args:
        stains: ``(p, 2, 3)``, unit rows.
        moments: ``(3, 4, 4)`` of the colours that use both stains, the first, the
            second.
    """
    affine = np.concatenate([np.full((len(stains), 2, 1), -PENALTY), stains], axis=2)
    both, *single = (np.einsum('pia,ab,pjb->ijp', affine, m, affine) for m in moments)
    gram = np.einsum('pc,pc->p', stains[:, 0], stains[:, 1])
    pair = (both[0, 0] + both[1, 1] - 2 * gram * both[0, 1]) / (1 - gram * gram)
    values: np.ndarray = -0.5 * (pair + single[0][0, 0] + single[1][1, 1])
    return values


@cache
def _difference_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a second difference and their shares in each derivative.

    Returns:
        ``(p, size)`` points in steps, and ``(size, size, p)`` shares.
    """
    axes = np.eye(size)
    points = [
        s * a + t * b for a in axes for b in axes for s in (1, -1) for t in (1, -1)
    ]
    signs = np.array([s * t for s in (1, -1) for t in (1, -1)]) / 4
    shares = np.zeros((size, size, len(points)))
    for i in range(size):
        for j in range(size):
            shares[i, j, 4 * (i * size + j) :][:4] = signs
    return np.array(points), shares


def on_sphere(stains: np.ndarray) -> np.ndarray:
    """Return the rows with unit length."""
    rows: np.ndarray = stains / np.sqrt((stains * stains).sum(axis=-1, keepdims=True))
    return rows
