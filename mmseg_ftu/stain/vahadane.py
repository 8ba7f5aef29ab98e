"""Vahadane's stain vectors: sparse non-negative dictionary learning with two atoms.

A. Vahadane et al., "Structure-preserving color normalization and sparse stain
separation for histological images", TMI 2016. The objective is staintools': over the
densities x of tissue, minimise

    mean(0.5 |x - a @ stains|^2 + 0.1 sum(a)),   a >= 0, stains >= 0, unit rows.

staintools lets SPAMS search it for one second of wall clock, so its result depends on
the load of the machine. Here the codes a have a closed form, which leaves a function of
four angles: Newton's method finds its minimum on a sample of the colours, from the best
of three starts (all three led to the same minimum on every real image tried), and two
or three more steps with the sample's curvature settle on all colours. Nothing is
random, nothing looks at the clock, and no long sum goes through a threaded BLAS.

Tries, 99 000 colours of a noisy slide: plain alternation takes 50 to 150 passes over
them, this takes two. Second derivatives by differences of the gradient took 65 passes
over the sample, those by moments take 10.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from .macenko import macenko_stains, order_stains
from .optical_density import code_system

PENALTY = 0.1  # staintools: VahadaneStainExtractor(regularizer)
SAMPLE = 2000  # colours that the search begins with
COARSEST = 24  # the sample takes at least every so many colours
LAST_STEP = 2e-3  # radians, 0.1 degrees; the rest is a tenth of it or less
ROUNDS = 40  # the most steps; 10 is many
DIFFERENCE = 1e-3  # of the numeric second derivative, radians
PARALLEL = 1 - 1e-8  # cosine beyond which two stains can't be told apart
LONGEST = 0.3  # no step is longer, radians
#: Common haematoxylin, eosin and DAB (Ruifrok & Johnston 2001); starts besides Macenko.
H, E, DAB = [0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]

Gradient = Callable[[np.ndarray], tuple[float, np.ndarray]]
Curvature = Callable[[np.ndarray, np.ndarray], np.ndarray]


def vahadane_stains(density: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the stain vectors that minimise the objective.

    Args:
        density: ``(3, n)`` optical densities of tissue, float64.
        weights: ``(n,)`` how often each occurs.

    Returns:
        ``(2, 3)`` float64, non-negative unit rows, haematoxylin (the redder density)
        first.
    """
    step = min(-(-len(weights) // SAMPLE), COARSEST)
    sample = _objective(density[:, ::step], weights[::step])
    curvature = _curvature(density[:, ::step], weights[::step])
    starts = _starts(density[:, ::step], weights[::step])
    stains = min(starts, key=lambda start: sample(start)[0])
    stains = _descend(sample, curvature, stains)
    for part in (step // 5, 1) if step >= 10 else (1,):
        objective = _objective(density[:, ::part], weights[::part])
        stains = _descend(objective, curvature, stains)
    return order_stains(stains)


def codes(density: np.ndarray, stains: np.ndarray, penalty: float) -> np.ndarray:
    """Return the concentrations ``(2, n)`` of densities ``(3, n)``; never threaded."""
    solve, shift, gram = code_system(stains, penalty)
    free = np.einsum('sc,cn->sn', solve, density) - shift[:, None]
    free += gram * np.minimum(free[::-1], 0)
    return np.maximum(free, 0, out=free)


def _starts(density: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Return first guesses: Macenko's vectors, and two usual pairs of stains."""
    guesses = [macenko_stains(density, weights), np.array([H, E]), np.array([H, DAB])]
    return [_on_sphere(np.maximum(guess, 1e-3)) for guess in guesses]


def _objective(density: np.ndarray, weights: np.ndarray) -> Gradient:
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


def _descend(
    objective: Gradient, curvature: Curvature, stains: np.ndarray
) -> np.ndarray:
    """Follow Newton's steps on the sphere down to the minimum.

    A step that is shorter than ``LAST_STEP`` is taken on trust, and is the last.

    Args:
        objective: What falls.
        curvature: Gives the second derivative, of the objective or of one over fewer
            colours.
        stains: The start, ``(2, 3)``, non-negative unit rows.

    Returns:
        The stains, ``(2, 3)``.
    """
    value, slope = objective(stains)
    for _ in range(ROUNDS):
        basis = _tangents(stains, slope)
        if not len(basis):
            break
        along = np.einsum('kij,ij', basis, slope)
        move = _newton_move(curvature(stains, basis), along)
        move = np.einsum('kij,k', basis, move)
        while np.abs(move).max() > LAST_STEP:
            trial = _on_sphere(np.maximum(stains + move, 0))
            trial_value, trial_slope = objective(trial)
            if trial_value < value:
                break
            move = move / 4
        else:
            return _on_sphere(np.maximum(stains + move, 0))
        stains, value, slope = trial, trial_value, trial_slope
    return stains


def _newton_move(hessian: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return the move ``(k,)`` that would reach the minimum of a parabola."""
    sizes, axes = np.linalg.eigh(hessian)
    sizes = np.maximum(np.abs(sizes), 1e-3 * np.abs(sizes).max() + 1e-12)
    move = -axes @ ((axes.T @ slope) / sizes)
    return move * min(1, LONGEST / max(np.abs(move).max(), 1e-30))


def _curvature(density: np.ndarray, weights: np.ndarray) -> Curvature:
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
        values = _value_of_moments(_on_sphere(moved), moments)
        return np.einsum('abp,p->ab', pick, values) / DIFFERENCE**2

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
    return -0.5 * (pair + single[0][0, 0] + single[1][1, 1])


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


def _tangents(stains: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return orthonormal directions ``(k, 2, 3)`` that keep lengths and signs.

    An entry at zero takes part only if the objective falls when it grows.
    """
    directions = []
    for row in (0, 1):
        free = np.flatnonzero((stains[row] > 0) | (slope[row] < 0))
        rest = np.linalg.svd(stains[row][None, free])[2][1:]  # orthogonal to the stain
        for vector in rest:
            direction = np.zeros((2, 3))
            direction[row, free] = vector
            directions.append(direction)
    return np.array(directions).reshape(-1, 2, 3)


def _on_sphere(stains: np.ndarray) -> np.ndarray:
    """Return the rows with unit length."""
    return stains / np.sqrt((stains * stains).sum(axis=-1, keepdims=True))
