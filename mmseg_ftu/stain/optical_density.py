"""Optical density, tissue and stain concentrations, as pure functions.

Beer and Lambert: a pixel of intensity ``I`` has the optical density ``-log(I / 255)``,
and densities of stains add up. Definitions follow staintools 2.1.2, so that results can
be compared with it: intensity 0 counts as 1, tissue is what is darker than 80 % in the
L of CIE Lab, concentrations are a non-negative lasso.
"""

import cv2
import numpy as np

from mmseg_ftu.stain.rgb import check_rgb

TISSUE_LUMINOSITY = 0.8  # staintools: LuminosityThresholdTissueLocator
APPLY_PENALTY = 0.01  # staintools: get_concentrations(regularizer)

#: Optical density of the intensities 0..255, float64; 0 counts as 1.
DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255)
DENSITY.setflags(write=False)


def optical_density(image: np.ndarray) -> np.ndarray:
    """Return the optical density of every pixel and channel.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.

    Returns:
        ``(H, W, 3)`` float64 in 0 (white) .. 5.54 (black).

    Raises:
        ValueError: If the image is not RGB uint8.
    """
    density: np.ndarray = DENSITY[check_rgb(image)]
    return density


def tissue_mask(image: np.ndarray, luminosity: float = TISSUE_LUMINOSITY) -> np.ndarray:
    """Return where the image is darker than the empty slide.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        luminosity: Tissue has a lightness L / 255 below it, 0..1 (L as OpenCV scales
            it in eight bits).

    Returns:
        ``(H, W)`` bool. It may be empty.

    Raises:
        ValueError: If the image is not RGB uint8.
    """
    lab = cv2.cvtColor(np.ascontiguousarray(check_rgb(image)), cv2.COLOR_RGB2LAB)
    tissue: np.ndarray = lab[..., 0] / 255 < luminosity
    return tissue


def concentrations(
    density: np.ndarray, stains: np.ndarray, penalty: float = APPLY_PENALTY
) -> np.ndarray:
    """Return how much of the two stains explains each optical density.

    Minimises ``0.5 |density - a @ stains|^2 + penalty * sum(a)`` over ``a >= 0``. For
    two stains that share a non-negative angle the solution has a closed form: with
    ``b`` the correlations less the penalty and ``u`` the unconstrained solution, it is
    ``max(0, min(u, b))``. Agrees with spams.lasso to its own accuracy.

    Args:
        density: ``(..., 3)``, float.
        stains: ``(2, 3)``, non-negative unit rows that are not parallel.
        penalty: Weight of the L1 term.

    Returns:
        ``(..., 2)`` concentrations >= 0, in units of optical density.

    Raises:
        ValueError: If the stains have another shape or are parallel.
    """
    solve, shift, gram = code_system(stains, penalty)
    free: np.ndarray = density @ solve.T - shift
    # min(u, b), written with u alone: b1 - u1 = gram * u2, and so for the other
    free += gram * np.minimum(free[..., ::-1], 0)
    np.maximum(free, 0, out=free)
    return free


def codes(density: np.ndarray, stains: np.ndarray, penalty: float) -> np.ndarray:
    """Return `concentrations` ``(2, n)`` of densities ``(3, n)``; never threaded."""
    solve, shift, gram = code_system(stains, penalty)
    free: np.ndarray = np.einsum('sc,cn->sn', solve, density) - shift[:, None]
    free += gram * np.minimum(free[::-1], 0)
    np.maximum(free, 0, out=free)
    return free


def code_system(
    stains: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return what maps a density to unconstrained codes, ``solve @ x - shift``.

    Args:
        stains: ``(2, 3)``, unit rows.
        penalty: Weight of the L1 term.

    Returns:
        ``(2, 3)`` matrix, ``(2,)`` shift, and the cosine between the two stains.

    Raises:
        ValueError: If the stains have another shape or are parallel.
    """
    stains = np.asarray(stains, np.float64)
    if stains.shape != (2, 3):
        raise ValueError(f'stains have shape {stains.shape}: expected two rows of RGB')
    gram = float((stains[0] * stains[1]).sum())
    rest = 1 - gram * gram
    if rest < 1e-9:
        raise ValueError(f'stains {stains.tolist()} are parallel: nothing separates')
    inverse = np.array([[1, -gram], [-gram, 1]]) / rest
    solve = np.stack([(inverse[:, [i]] * stains[i]) for i in (0, 1)]).sum(axis=0)
    return solve, np.full(2, penalty * (1 - gram) / rest), gram
