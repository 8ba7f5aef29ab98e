"""Macenko's stain vectors: robust extremes of the angles in the plane of the stains.

M. Macenko et al., "A method for normalizing histology slides for quantitative
analysis", ISBI 2009. Conventions of staintools 2.1.2: covariance over tissue, angles
between the 1st and the 99th percentile, haematoxylin first.
"""

import numpy as np

from mmseg_ftu.stain.percentile import weighted_percentile

ANGULAR_PERCENTILE = 99  # staintools: MacenkoStainExtractor


def macenko_stains(
    density: np.ndarray, weights: np.ndarray, percentile: float = ANGULAR_PERCENTILE
) -> np.ndarray:
    """Return the two stain vectors.

    Args:
        density: ``(3, n)`` optical densities of tissue, float64.
        weights: Number of pixels of each density, ``(n,)``.
        percentile: Percentile of the angles, 50..100; its complement gives the other
            vector.

    Returns:
        ``(2, 3)`` float64, unit rows, haematoxylin (the redder density) first. Entries
        may be negative.
    """
    weights = weights / weights.sum()
    centred = density - np.einsum('cn,n->c', density, weights)[:, None]
    covariance = np.einsum('in,jn->ij', centred, centred * weights)
    plane = np.linalg.eigh(covariance)[1][:, [2, 1]]
    plane = plane * np.where(plane[0] < 0, -1, 1)  # eigenvectors have no sign
    along, across = (np.einsum('cn,c->n', density, axis) for axis in plane.T)
    angle = np.arctan2(across, along)
    angles = np.array(
        [weighted_percentile(angle, weights, p) for p in (100 - percentile, percentile)]
    )
    return order_stains(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.T)


def order_stains(stains: np.ndarray) -> np.ndarray:
    """Return the rows with unit length, the one of the larger red density first."""
    stains = stains / np.sqrt((stains * stains).sum(axis=1))[:, None]
    return stains[::-1].copy() if stains[0, 0] < stains[1, 0] else stains
