"""Which part of an image is tissue, as far as a fit is concerned.

Tissue is darker than 80 % in the L of CIE Lab, as in staintools. Stain vectors are
fitted on it, and strengths are measured on it, so that it does not matter how much
glass surrounds the tissue.

Where a section is stained so faintly that most of it is lighter than that, strengths
are measured on more: on what is darker than a fraction of the section's own dark
colours. The darkest nuclei alone would pass for the whole section. What is lighter
than 80 % and has hardly any colour is always glass, and so is what is lighter than
90 %. So neither the share nor the brightness of the glass moves the result.

Black pixels, which a reader filled in or a scanner left, do not count as tissue either.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from mmseg_ftu.stain.histogram import TISSUE_LUMINANCE, ColourCells, luminance_of
from mmseg_ftu.stain.policy import BLACK, NO_TISSUE, NO_TISSUE_COMPATIBLE

LEAST_TISSUE = 0.001  # of the pixels; less may as well be dust
LEAST_PIXELS = 256  # of tissue; a 99th percentile of fewer is a matter of luck
LEAST_COMPATIBLE = 0.01  # of the pixels, where strengths are measured on glass too
#: Black pixels in dark tissue stay, if they are rarer than that and than dark ones.
MOST_BLACK = 0.0005  # of the tissue
MOST_BLACK_COMPATIBLE = 0.01  # of the pixels
BLACK_LEVELS = 4  # cells, so intensities below 8 in all channels
BORDER_LEVELS = 24  # what JPEG makes of black: below 48
FADED = 0.25  # of the darkest shade: so rare is the lightest that JPEG makes of black
GLASS_LEVELS = 100  # cells: a colour of 200 and more in all channels may be glass
#: Cells between the channels of a pale colour of tissue, so 20 intensities. Glass of
#: real images has up to 16 after JPEG, light tissue mostly 25 up.
LEAST_COLOUR = 10

GLASS_LUMINANCE = luminance_of(0.9)
DARK = 0.1  # the darkest part of the tissue, which tells how strongly it is stained
#: The edge of tissue, as a part of the dark colours' density. It leaves 89 of 98 real
#: images of eleven kinds at 80 %; the edge of the others rises to 86 % at most.
RELATIVE = 0.39
BINS = 1024  # of luminance, in which the edge is searched
STEPS = 4  # towards an edge that agrees with the dark colours of what it holds


@dataclass(frozen=True)
class Tissue:
    """What a fit looks at.

    Attributes:
        cells: The colours of the tissue. Their counts are its pixels, in fractions
            where the edge of tissue runs through a cell.
        measured: The colours that strengths are measured on: those of the tissue, with
            lighter ones where the section is pale; or those of the whole image without
            a black border, to be compatible.
        reason: Why the image cannot be fitted; None if it can.
        black: Colours below this intensity in all channels are left out; 0 if none are.
    """

    cells: ColourCells
    measured: ColourCells
    reason: str | None
    black: int


def find_tissue(cells: ColourCells, compatible: bool = False) -> Tissue:
    """Return the colours of the tissue, without those of a black border.

    Args:
        cells: The colours of the image.
        compatible: Measure strengths over all pixels, as staintools does; see
            `Normalizer`.
    """
    total = cells.counts.sum()
    weights = cells.tissue() * cells.counts
    brightest = cells.levels.max(axis=0)
    rule = _compatible_edge if compatible else _black_edge
    edge = rule(brightest, cells.counts, weights.sum())
    if edge:
        kept = np.flatnonzero(brightest >= edge)
        cells, weights = cells.take(kept, cells.counts[kept]), weights[kept]
    pixels = cells.counts.sum()
    least = LEAST_COMPATIBLE if compatible else LEAST_TISSUE
    reason = None
    if edge and pixels < least * total:
        reason = BLACK
    elif not total or _is_too_little(weights.sum(), pixels, compatible):
        reason = NO_TISSUE_COMPATIBLE if compatible else NO_TISSUE
    used = np.flatnonzero(weights)
    tissue = cells.take(used, weights[used])
    if compatible or reason:
        return Tissue(tissue, cells, reason, 2 * edge)
    return Tissue(tissue, _with_pale(cells, tissue), None, 2 * edge)


def without_black(resized: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return the pixels of a resized image that no black of the original is part of.

    Resizing blends a black line or border with the tissue beside it, and what comes of
    it looks like dark tissue.

    Args:
        resized: ``(h, w, 3)`` uint8 RGB.
        original: ``(H, W, 3)``, what it was made of.

    Returns:
        ``(n, 1, 3)``, or ``resized`` where hardly anything is black, or everything.
    """
    if resized.shape == original.shape:
        return resized
    black = cv2.inRange(original, (0, 0, 0), (2 * BLACK_LEVELS - 1,) * 3)
    if np.count_nonzero(black) <= MOST_BLACK * black.size:
        return resized
    size = resized.shape[1], resized.shape[0]
    touched = cv2.resize(black, size, interpolation=cv2.INTER_AREA) > 0
    return resized if touched.all() else resized[~touched][:, None]


def without_glass(cells: ColourCells) -> np.ndarray:
    """Return ``counts`` with zero for colours bright or black in all channels.

    That leaves tissue, and colours as bright as yellow that no stain has.
    """
    glass = cells.levels.min(axis=0) >= GLASS_LEVELS
    left_out = glass | (cells.levels.max(axis=0) < BLACK_LEVELS)
    counts: np.ndarray = cells.counts * ~left_out
    return counts


def _black_edge(brightest: np.ndarray, counts: np.ndarray, tissue: float) -> int:
    """Return the level below which colours are black, not tissue; 0 if none are.

    The darker tissue is, the rarer it is. What JPEG makes of a black border is rarer
    the lighter it is, and ends before tissue begins. So the edge is at the rarest of
    the dark shades.

    Args:
        brightest: ``(n,)``, the level of each colour's brightest channel, in cells.
        counts: Number of pixels of each colour, ``(n,)``.
        tissue: Number of pixels that are tissue, black ones included.
    """
    dark = np.flatnonzero(brightest < BORDER_LEVELS + BLACK_LEVELS)
    steps = BORDER_LEVELS // BLACK_LEVELS
    shades = np.bincount(brightest[dark] // BLACK_LEVELS, counts[dark], steps + 1)
    if shades[0] <= min(shades[1], MOST_BLACK * tissue):
        return 0
    rarest = 1 + int(np.argmin(shades[1:]))
    if shades[rarest] > FADED * shades[1]:  # so they are of dark tissue
        return BLACK_LEVELS
    return BLACK_LEVELS * rarest


def _compatible_edge(brightest: np.ndarray, counts: np.ndarray, _: float) -> int:
    """Return the former edge, where black covers more than 1 % of all pixels."""
    black = counts[brightest < BLACK_LEVELS].sum()
    return BORDER_LEVELS if black > MOST_BLACK_COMPATIBLE * counts.sum() else 0


def _is_too_little(tissue: float, pixels: float, compatible: bool) -> bool:
    """Tell whether so many pixels of tissue among so many are too few to fit."""
    if compatible:
        return tissue < LEAST_COMPATIBLE * pixels
    return tissue < max(LEAST_TISSUE * pixels, LEAST_PIXELS)


def _with_pale(cells: ColourCells, tissue: ColourCells) -> ColourCells:
    """Return the tissue, or more of the coloured cells where a section is pale."""
    light = cells.luminance >= TISSUE_LUMINANCE
    colour = np.ptp(cells.levels, axis=0)
    kept = np.flatnonzero(~light | (colour >= LEAST_COLOUR))
    cells = cells.take(kept, cells.counts[kept])
    edge = _pale_edge(cells)
    if edge <= TISSUE_LUMINANCE:
        return tissue
    used = np.flatnonzero(cells.luminance < edge)
    return cells.take(used, cells.counts[used])


def _pale_edge(cells: ColourCells) -> float:
    """Return the luminance of the edge of coloured cells, of 80 % to 90 % L.

    The density at the edge is ``RELATIVE`` times the density that the darkest tenth of
    the tissue exceeds.
    """
    place = (cells.luminance * BINS).astype(np.intp)
    filled = np.cumsum(np.bincount(place, cells.counts, BINS + 1))
    edge = TISSUE_LUMINANCE
    for _ in range(STEPS):
        dark = np.searchsorted(filled, DARK * filled[int(edge * BINS)])
        wanted = ((dark + 0.5) / BINS) ** RELATIVE
        edge = min(max(wanted, TISSUE_LUMINANCE), GLASS_LUMINANCE)
        if edge == TISSUE_LUMINANCE:
            break
    return edge
