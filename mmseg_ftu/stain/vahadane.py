"""Vahadane's stain vectors: sparse non-negative dictionary learning with two atoms.

A. Vahadane et al., "Structure-preserving color normalization and sparse stain
separation for histological images", TMI 2016. The objective is staintools': over the
densities x of tissue, minimise

    mean(0.5 |x - a @ stains|^2 + 0.1 sum(a)),   a >= 0, stains >= 0, unit rows.

staintools lets SPAMS search it for one second of wall clock, so its result depends on
the load of the machine. Here the codes a have a closed form, which leaves a function of
four angles: Newton's method finds its minimum on a sample of the colours from several
starts, and a few more steps with the same curvature settle on all colours. Nothing is
random, nothing looks at the clock, and no sum goes through a threaded BLAS.
"""

from collections.abc import Callable

import numpy as np

from .macenko import macenko_stains, order_stains
from .optical_density import code_system

PENALTY = 0.1  # staintools: VahadaneStainExtractor(regularizer)
SAMPLE = 2000  # colours that the search begins with
COARSEST = 24  # the sample takes at least every so many colours
LAST_STEP = 5e-4  # radians, 0.03 degrees; the rest is a tenth of it or less
ROUNDS = 40  # the most steps; 10 is many
DIFFERENCE = 3e-3  # of the numeric second derivative, radians; wider than its kinks
PARALLEL = 1 - 1e-8  # cosine beyond which two stains can't be told apart
LONGEST = 0.3  # no step is longer, radians
#: Common haematoxylin, eosin and DAB (Ruifrok & Johnston 2001); starts besides Macenko.
H, E, DAB = [0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]

Gradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


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
    few = _objective(density[:, :: 4 * step], weights[:: 4 * step])
    starts = _starts(density[:, ::step], weights[::step])
    stains = min(starts, key=lambda start: few(start)[0])
    stains = _descend(few, few, stains)
    stains = _descend(sample, few, stains)
    for part in (step // 5, 1) if step >= 10 else (1,):
        objective = _objective(density[:, ::part], weights[::part])
        stains = _descend(objective, sample, stains)
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
    objective: Gradient, curvature: Gradient, stains: np.ndarray
) -> np.ndarray:
    """Follow Newton's steps on the sphere down to the minimum.

    A step that is shorter than ``LAST_STEP`` is taken on trust, and is the last.

    Args:
        objective: What falls.
        curvature: Where the second derivative is taken from: the objective, or one
            over fewer colours.
        stains: The start, ``(2, 3)``, non-negative unit rows.

    Returns:
        The stains, ``(2, 3)``.
    """
    value, slope = objective(stains)
    for _ in range(ROUNDS):
        basis = _tangents(stains, slope)
        if not len(basis):
            break
        move = _newton_move(curvature, stains, basis, np.einsum('kij,ij', basis, slope))
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


def _newton_move(
    curvature: Gradient, stains: np.ndarray, basis: np.ndarray, slope: np.ndarray
) -> np.ndarray:
    """Return the move ``(2, 3)`` that would reach the minimum of a parabola.

    Args:
        curvature: Where the second derivative is taken from, by differences.
        stains: ``(2, 3)``, where.
        basis: ``(k, 2, 3)``, the directions that are free.
        slope: ``(k,)``, the objective's slope along them.
    """
    here = np.einsum('kij,ij', basis, curvature(stains)[1])
    rows = []
    for direction in basis:
        moved = stains + DIFFERENCE * direction
        length = np.sqrt((moved * moved).sum(axis=1))[:, None]
        unit = moved / length
        gradient = curvature(unit)[1]
        gradient -= (gradient * unit).sum(axis=1)[:, None] * unit
        there = np.einsum('kij,ij', basis, gradient / length)
        rows.append((there - here) / DIFFERENCE)
    hessian = np.array(rows)
    sizes, axes = np.linalg.eigh((hessian + hessian.T) / 2)
    sizes = np.maximum(np.abs(sizes), 1e-3 * np.abs(sizes).max() + 1e-12)
    move = np.einsum('kij,k', basis, -axes @ ((axes.T @ slope) / sizes))
    return move * min(1, LONGEST / max(np.abs(move).max(), 1e-30))


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
    return stains / np.sqrt((stains * stains).sum(axis=1))[:, None]
