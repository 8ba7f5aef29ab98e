"""What of an image is tissue, as far as a fit is concerned.

Tissue is darker than 80 % in the L of CIE Lab, as in staintools. Stain vectors are
fitted on it, and strengths are measured on it, so that it does not matter how much
glass surrounds the tissue.

Where a section is stained so faintly that most of it is lighter than that, strengths
are measured on more: on what is darker than a fraction of the section's own dark
colours. The darkest nuclei alone would pass for the whole section. What is lighter
than 90 % is always glass.
"""

from dataclasses import dataclass

import numpy as np

from .histogram import TISSUE_LUMINANCE, ColourCells, luminance_of
from .policy import BLACK, NO_TISSUE, NO_TISSUE_COMPATIBLE

LEAST_TISSUE = 0.001  # of the pixels; less may as well be dust
LEAST_PIXELS = 256  # of tissue; a 99th percentile of fewer is a matter of luck
LEAST_COMPATIBLE = 0.01  # of the pixels, where strengths are measured on glass too
#: A border that a reader filled in, not pigment, if it covers more than that.
MOST_BLACK = 0.01  # of the tissue
BLACK_LEVELS = 4  # cells, so intensities below 8 in all channels
BORDER_LEVELS = 24  # what JPEG makes of it: below 48; tissue lets more light through
GLASS_LEVELS = 100  # cells: a colour of 200 and more in all channels may be glass

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
    """

    cells: ColourCells
    measured: ColourCells
    reason: str | None


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
    black = cells.counts[brightest < BLACK_LEVELS].sum()
    has_border = black > MOST_BLACK * (total if compatible else weights.sum())
    if has_border:
        kept = np.flatnonzero(brightest >= BORDER_LEVELS)
        cells, weights = cells.take(kept, cells.counts[kept]), weights[kept]
    pixels = cells.counts.sum()
    least = LEAST_COMPATIBLE if compatible else LEAST_TISSUE
    reason = None
    if has_border and pixels < least * total:
        reason = BLACK
    elif not total or _is_too_little(weights.sum(), pixels, compatible):
        reason = NO_TISSUE_COMPATIBLE if compatible else NO_TISSUE
    used = np.flatnonzero(weights)
    tissue = cells.take(used, weights[used])
    if compatible or reason:
        return Tissue(tissue, cells, reason)
    return Tissue(tissue, _with_pale(cells, tissue), None)


def without_glass(cells: ColourCells) -> np.ndarray:
    """Return ``counts`` with zero for the colours that are bright in all channels.

    That leaves tissue, and colours as bright as yellow that no stain has.
    """
    return cells.counts * (cells.levels.min(axis=0) < GLASS_LEVELS)


def _is_too_little(tissue: float, pixels: float, compatible: bool) -> bool:
    """Tell whether so many pixels of tissue among so many are too few to fit."""
    if compatible:
        return tissue < LEAST_COMPATIBLE * pixels
    return tissue < max(LEAST_TISSUE * pixels, LEAST_PIXELS)


def _with_pale(cells: ColourCells, tissue: ColourCells) -> ColourCells:
    """Return the tissue, or more of the cells where a section is pale."""
    edge = _pale_edge(cells)
    if edge <= TISSUE_LUMINANCE:
        return tissue
    used = np.flatnonzero(cells.luminance < edge)
    return cells.take(used, cells.counts[used])


def _pale_edge(cells: ColourCells) -> float:
    """Return the luminance of the edge of tissue, that of 80 % to that of 90 % L.

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
