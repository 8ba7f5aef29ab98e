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

``benchmarks/README.md`` says what else was tried.
"""

import numpy as np

from mmseg_ftu.stain.macenko import macenko_stains, order_stains
from mmseg_ftu.stain.objective import (
    Curvature,
    Objective,
    curvature_of,
    objective_of,
    on_sphere,
)

SAMPLE = 2000  # colours that the search begins with
COARSEST = 24  # the sample takes at least every so many colours
LAST_STEP = 2e-3  # radians, 0.1 degrees; the rest is a tenth of it or less
ROUNDS = 40  # the most steps; 10 is many
LONGEST = 0.3  # no step is longer, radians
#: Common haematoxylin, eosin and DAB (Ruifrok & Johnston 2001); starts besides Macenko.
H, E, DAB = [0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]


def vahadane_stains(density: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the stain vectors that minimise the objective.

    Args:
        density: ``(3, n)`` optical densities of tissue, float64.
        weights: Number of pixels of each density, ``(n,)``.

    Returns:
        ``(2, 3)`` float64, non-negative unit rows, haematoxylin (the redder density)
        first.
    """
    step = min(-(-len(weights) // SAMPLE), COARSEST)
    sample = objective_of(density[:, ::step], weights[::step])
    curvature = curvature_of(density[:, ::step], weights[::step])
    starts = _starts(density[:, ::step], weights[::step])
    stains = min(starts, key=lambda start: sample(start)[0])
    stains = _descend(sample, curvature, stains)
    for part in (step // 5, 1) if step >= 10 else (1,):
        objective = objective_of(density[:, ::part], weights[::part])
        stains = _descend(objective, curvature, stains)
    return order_stains(stains)


def _starts(density: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Return first guesses: Macenko's vectors, and two usual pairs of stains."""
    guesses = [macenko_stains(density, weights), np.array([H, E]), np.array([H, DAB])]
    return [on_sphere(np.maximum(guess, 1e-3)) for guess in guesses]


def _descend(
    objective: Objective, curvature: Curvature, stains: np.ndarray
) -> np.ndarray:
    """Follow Newton's steps on the sphere down to the minimum.

    A step that is shorter than ``LAST_STEP`` is taken on trust, and is the last.

    Args:
        objective: Function that is minimised.
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
            trial = on_sphere(np.maximum(stains + move, 0))
            trial_value, trial_slope = objective(trial)
            if trial_value < value:
                break
            move = move / 4
        else:
            return on_sphere(np.maximum(stains + move, 0))
        stains, value, slope = trial, trial_value, trial_slope
    return stains


def _newton_move(hessian: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return the move ``(k,)`` that would reach the minimum of a parabola."""
    sizes, axes = np.linalg.eigh(hessian)
    sizes = np.maximum(np.abs(sizes), 1e-3 * np.abs(sizes).max() + 1e-12)
    move: np.ndarray = -axes @ ((axes.T @ slope) / sizes)
    move = move * min(1, LONGEST / max(np.abs(move).max(), 1e-30))
    return move


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
