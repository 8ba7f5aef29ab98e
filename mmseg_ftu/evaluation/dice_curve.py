"""Dice of one image at every threshold, from one pass over its pixels.

Probabilities are kept as ``round(255 p)``, so only 256 thresholds differ. The counts of
each level inside and outside the mask say all about them.
"""

import cv2
import numpy as np

LEVELS = 256
STRIP = 1 << 22  # px counted at a time: np.bincount widens them 8-fold
# Halfway between two levels: above it lie exactly the probabilities that are rounded
# to a higher level. The last one, where nothing is foreground, must not exceed 1.
THRESHOLDS = np.append((np.arange(LEVELS - 1) + 0.5) / (LEVELS - 1), 1.0)


def dice_curve(
    probability: np.ndarray, mask: np.ndarray, strip: int = STRIP
) -> np.ndarray:
    """Return the Dice of each threshold on one image.

    Args:
        probability: Uint8 (h, w) of 255 * p; brought to the mask's size bilinearly.
        mask: Uint8 (H, W), 0 background, 1 foreground, 255 ignored.
        strip: How many pixels are counted at a time.

    Returns:
        (256,): [k] is the Dice of the pixels of a level > k, that is of probabilities
        above ``THRESHOLDS[k]``. An image without foreground counts 1 where nothing is
        found, as elsewhere in the package.
    """
    if probability.shape != mask.shape:
        height, width = mask.shape
        probability = cv2.resize(
            probability, (width, height), interpolation=cv2.INTER_LINEAR
        )
    outside, inside = level_counts(probability, mask, strip)
    overlap, wrong = (counts.sum() - np.cumsum(counts) for counts in (inside, outside))
    total = overlap + wrong + inside.sum()
    return np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)


def level_counts(
    probability: np.ndarray, mask: np.ndarray, strip: int = STRIP
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of each level outside and inside a mask, each (256,)."""
    counts = np.zeros((LEVELS, LEVELS), np.int64)
    rows = max(1, strip // mask.shape[1])
    for top in range(0, len(mask), rows):
        part = slice(top, top + rows)
        joint = mask[part].astype(np.uint16) * LEVELS + probability[part]
        joint_counts = np.bincount(joint.ravel(), minlength=LEVELS**2)
        counts += joint_counts.reshape(LEVELS, LEVELS)
    return counts[0], counts[1]


def level_of(threshold: float) -> int:
    """Return the k whose pixels of a level > k lie above a threshold of 0..1."""
    above = np.arange(LEVELS) / (LEVELS - 1) > threshold
    return LEVELS - 1 - int(above.sum())
