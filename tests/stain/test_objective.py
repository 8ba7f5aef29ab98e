"""The objective and its derivatives against differences over the colours."""

import numpy as np
import pytest
from sections import EOSIN, HAEMATOXYLIN, section, unit_rows

from mmseg_ftu.stain import concentrations, optical_density
from mmseg_ftu.stain.objective import curvature_of, objective_of, on_sphere

DENSITY = optical_density(section(3)).reshape(-1, 3).T
WEIGHTS = np.random.default_rng(0).integers(1, 9, DENSITY.shape[1]).astype(float)
DAB = [0.27, 0.57, 0.78]
PAIRS = [(HAEMATOXYLIN, EOSIN), (HAEMATOXYLIN, DAB), (DAB, EOSIN)]


def value(stains):
    """The objective as it is written down, with unit rows."""
    stains = on_sphere(stains)
    amounts = concentrations(DENSITY.T, stains, 0.1)
    rest = DENSITY.T - amounts @ stains
    each = 0.5 * (rest**2).sum(axis=1) + 0.1 * amounts.sum(axis=1)
    return (each * WEIGHTS).sum() / WEIGHTS.sum()


def tangents(stains):
    """Two directions for each stain, at right angles to it."""
    basis = np.zeros((4, 2, 3))
    for row in (0, 1):
        basis[2 * row : 2 * row + 2, row] = np.linalg.svd(stains[[row]])[2][1:]
    return basis


@pytest.mark.parametrize('pair', PAIRS)
def test_value_and_gradient(pair):
    stains = unit_rows(pair)
    found, gradient = objective_of(DENSITY, WEIGHTS)(stains)
    assert found == pytest.approx(value(stains), abs=1e-12)
    for move in 1e-5 * tangents(stains):
        slope = value(stains + move) - value(stains - move)
        assert 2 * (gradient * move).sum() == pytest.approx(slope, rel=1e-4, abs=1e-10)


@pytest.mark.parametrize('pair', PAIRS)
def test_curvature(pair):
    stains = unit_rows(pair)
    basis = tangents(stains)
    found = curvature_of(DENSITY, WEIGHTS)(stains, basis)
    step = 1e-3
    for i, j in np.ndindex(4, 4):
        corners = [
            s * t * value(stains + step * (s * basis[i] + t * basis[j]))
            for s in (1, -1)
            for t in (1, -1)
        ]
        bend = sum(corners) / (4 * step**2)
        assert found[i, j] == pytest.approx(bend, abs=0.01 * np.abs(found).max())


def test_parallel_stains_are_no_minimum():
    found, _ = objective_of(DENSITY, WEIGHTS)(unit_rows([EOSIN, EOSIN]))
    assert found == np.inf
