"""Which images cannot be fitted, and what happens to them.

staintools raises on some of these, and on others returns an all-black or all-white
image without a word. Here each has a reason, a short text to log and to count, and the
caller chooses: leave the image as it is, use the target's stains, or raise.
"""

from collections import Counter

import numpy as np

POLICIES = ('identity', 'target', 'raise')
BLACK_LEVELS = 4  # cells, so intensities below 8 in all channels
BORDER_LEVELS = 24  # what JPEG makes of it: below 48; tissue lets more light through
SAMPLING = 8  # every so many colours tell the spread
LEAST_SPREAD = 0.02  # of colours around their mean direction, radians
LEAST_ANGLE = 6.0  # between stains, degrees; real sections 8 up, JPEG of one stain 5.6
LEAST_STRENGTH = 0.05  # 99th percentile of a stain, optical density
#: Change of the mean brightness, 0..1, when the target's stains replace an image's own.
#: Without their glass real sections of any stain changed by 0.11 at most, pure red or
#: green mostly by 0.2 up.
MOST_CHANGE = 0.125

NO_TISSUE = 'less than 0.1 % of the image, or 256 px, is tissue'
NO_TISSUE_COMPATIBLE = 'less than 1 % of the image is tissue'
BLACK = 'the image is black'
ONE_STAIN = 'the image has one stain only'
NO_STAINS = 'the colours of the image are not those of two stains'
FAINT = 'one of the stains is hardly there'
FAINT_COLOUR = 'the image has hardly any colour'


class StainFitError(ValueError):
    """An image cannot be fitted; ``reason`` says why."""

    def __init__(self, reason: str, name: str = 'image') -> None:
        super().__init__(
            f'{name}: {reason}, so that its stains cannot be fitted; leave it out, or '
            "choose on_failure='identity' or 'target'"
        )
        self.reason = reason


class FailureCount:
    """Count images that could not be fitted, and say so at the 1st, 10th, 100th, ..."""

    def __init__(self) -> None:
        self.seen = 0
        self.reasons: Counter[str] = Counter()

    def add(self, reason: str | None, name: str) -> str | None:
        """Count an image.

        Args:
            reason: Why it could not be fitted; None if it could.
            name: What to call it.

        Returns:
            A text to log, or None.
        """
        self.seen += 1
        if reason is None:
            return None
        self.reasons[reason] += 1
        total = self.reasons.total()
        if total != 10 ** (len(str(total)) - 1):
            return None
        return (
            f'{total} of {self.seen} images could not be fitted '
            f'{dict(self.reasons)}; the last was {name}'
        )


def check_colours(density: np.ndarray, weights: np.ndarray) -> str | None:
    """Return why densities ``(3, n)`` of tissue cannot hold two stains, or None."""
    density, weights = density[:, ::SAMPLING], weights[::SAMPLING]
    moments = np.einsum('in,jn->ij', density * weights, density)
    sizes = np.linalg.eigvalsh(moments)
    spread = np.sqrt(max(sizes[1], 0) / sizes[2]) if sizes[2] > 0 else 0
    return ONE_STAIN if spread < LEAST_SPREAD else None


def check_stains(stains: np.ndarray) -> str | None:
    """Return why two vectors cannot be a pair of stains, or None."""
    cosine = float((stains[0] * stains[1]).sum())
    if cosine < 0:  # Macenko's vectors may be so, on what is not a section
        return NO_STAINS
    return ONE_STAIN if cosine > np.cos(np.radians(LEAST_ANGLE)) else None


def keeps_brightness(
    density: np.ndarray, painted: np.ndarray, counts: np.ndarray
) -> bool:
    """Return whether colours stay about as bright when painted with other stains.

    Stains only absorb light. Where the source is red or green, which no mixture of the
    two stains is, one that is nearly black would come in its place.

    Args:
        density: ``(3, n)`` optical densities.
        painted: ``(3, n)``, what becomes of them.
        counts: Number of pixels of each density, ``(n,)``; zero for glass, which would
            dilute the change.
    """
    change = (np.exp(-painted) - np.exp(-density)).mean(axis=0)
    return bool(abs((change * counts).sum()) <= MOST_CHANGE * counts.sum())


def check_strengths(strengths: np.ndarray) -> str | None:
    """Return which of the two stains is missing, or None."""
    return FAINT if strengths.min() < LEAST_STRENGTH else None
