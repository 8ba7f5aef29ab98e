"""Choose a threshold from the Dice curves of images, and say how sure one can be of it.

The threshold with the highest mean Dice over images, out of the 256 that differ. Of
several that are equal, the one nearest to the paper's is taken. A bootstrap over images
gives the interval of the threshold, and the gain over the paper's on the images that
each resampling leaves out, which took no part in its choice. No deviations from a
published method: there is none in the paper.
"""

from typing import NamedTuple

import numpy as np

from mmseg_ftu.evaluation.dice_curve import THRESHOLDS, level_of

# With fewer, one image is more than a tenth of the mean, and a bootstrap interval is
# known to be too narrow.
FEW_IMAGES = 10
RESAMPLES = 2000
ENDS = (2.5, 97.5)  # percentiles between which 95 % lie
NO_INTERVAL = (np.nan, np.nan)


class ThresholdFit(NamedTuple):
    """Threshold of one group.

    Attributes:
        images: Number of images.
        threshold: Fitted threshold, 0..1.
        low: Lower end of the threshold's 95 % bootstrap interval.
        high: Upper end of the threshold's interval.
        dice: Mean Dice (0..1) at the threshold, on the images it was fitted on.
        dice_paper: Mean Dice (0..1) of the same images at the paper's threshold.
        gain: Mean gain in Dice over the paper's on images left out of the resamplings;
            NaN for one image.
        gain_low: Lower end of the gain's 95 % interval.
        gain_high: Upper end of the gain's interval.
        warning: Reason not to trust the threshold, ``''`` if there is none.
    """

    images: int
    threshold: float
    low: float
    high: float
    dice: float
    dice_paper: float
    gain: float
    gain_low: float
    gain_high: float
    warning: str


def fit_group(curves: np.ndarray, paper: float) -> ThresholdFit:
    """Fit the threshold of one group.

    Args:
        curves: ``dice_curve`` of each image, (images, 256).
        paper: Threshold to compare with, 0..1.
    """
    thresholds = THRESHOLDS.copy()
    thresholds[level_of(paper)] = paper  # equal on the levels, and the known number
    best = best_levels(curves.mean(axis=0)[None], thresholds, paper)[0]
    count = len(curves)
    draws = np.random.default_rng(0).multinomial(
        count, np.full(count, 1 / count), size=RESAMPLES
    )
    drawn = best_levels(draws @ curves / count, thresholds, paper)
    low, high = np.percentile(thresholds[drawn], ENDS)
    gains = left_out_gains(curves, draws == 0, drawn, level_of(paper))
    gain_low, gain_high = np.percentile(gains, ENDS) if gains.size else NO_INTERVAL
    return ThresholdFit(
        images=count,
        threshold=float(thresholds[best]),
        low=float(low),
        high=float(high),
        dice=float(curves[:, best].mean()),
        dice_paper=float(curves[:, level_of(paper)].mean()),
        gain=float(gains.mean()) if gains.size else np.nan,
        gain_low=float(gain_low),
        gain_high=float(gain_high),
        warning=reason_for_doubt(count, best == level_of(paper), gain_low, gain_high),
    )


def best_levels(
    means: np.ndarray, thresholds: np.ndarray, nearest_to: float
) -> np.ndarray:
    """Return the level of the highest mean in each row of (n, 256)."""
    equal = means >= means.max(axis=1, keepdims=True) - 1e-12  # but for rounding
    distances = np.where(equal, np.abs(thresholds - nearest_to), np.inf)
    levels: np.ndarray = distances.argmin(axis=1)
    return levels


def left_out_gains(
    curves: np.ndarray, left_out: np.ndarray, chosen: np.ndarray, paper: int
) -> np.ndarray:
    """Return the mean gain on the images that each resampling left out.

    Args:
        curves: (images, 256).
        left_out: Boolean (resamplings, images).
        chosen: Level that each resampling chose.
        paper: Level of the paper's threshold.

    Returns:
        One gain for each resampling that left any image out.
    """
    gains = (curves[:, chosen] - curves[:, [paper]]).T
    some = left_out.any(axis=1)
    sums = (gains * left_out)[some].sum(axis=1)
    means: np.ndarray = sums / left_out[some].sum(axis=1)
    return means


def reason_for_doubt(
    count: int, unchanged: bool, gain_low: float, gain_high: float
) -> str:
    """Say why not to trust a threshold; ``''`` if there is no reason."""
    if count < FEW_IMAGES:
        return f'only {count} images, of {FEW_IMAGES} or more wanted'
    if unchanged:
        return ''
    if gain_low <= 0 <= gain_high:
        return 'the gain on images left out may be chance'
    return 'loses on images left out' if gain_high < 0 else ''
