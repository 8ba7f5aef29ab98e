"""Parts that several organs of the sample tissue share: stroma, vessels, epithelium."""

import numpy as np

from mmseg_ftu.sample_tissue.canvas import EMPTY, Canvas, Material
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, Blob, draw_blob
from mmseg_ftu.sample_tissue.stains import Staining


def tissue_of(
    staining: Staining,
    kind: str,
    round_nuclei: float | np.ndarray = 0.0,
    spindle_nuclei: float | np.ndarray = 0.0,
    strength: float | np.ndarray = 1.0,
    hollow: float | np.ndarray = 0.0,
) -> Material:
    """Make the material of a kind of tissue in a staining; nuclei per 1000 um^2."""
    return Material(
        staining.blue[kind] * strength,
        staining.counter[kind] * strength,
        round_nuclei,
        spindle_nuclei,
        hollow,
    )


def paint_stroma(canvas: Canvas, staining: Staining, spindle: float = 2.0) -> None:
    """Fill the picture with fibrous connective tissue."""
    fibres = canvas.fibres()
    strength = np.exp(0.25 * fibres)
    hollow = np.clip(0.3 * fibres - 0.45, 0, 0.7)  # clefts between the bundles
    nuclei = spindle * np.clip(1 + 0.5 * fibres, 0.2, 2)
    matrix = tissue_of(staining, 'matrix', 0.8, nuclei, strength, hollow)
    canvas.paint(1.0, matrix)


def paint_vessels(
    canvas: Canvas, staining: Staining, count: int, radius: tuple[float, float]
) -> np.ndarray:
    """Paint arteries and veins, cut across or along: muscle around a lumen.

    Returns:
        Bool (S, S), where they are.
    """
    rng = canvas.rng
    area = np.zeros((canvas.size, canvas.size), bool)
    for _ in range(count):
        x, y = rng.uniform(0.15, 0.85, 2) * FIELD_UM
        size = rng.uniform(*radius)
        vessel = draw_blob(rng, x, y, size, rng.uniform(0, 1.2) * size, wobble=0.08)
        depth = canvas.depth([vessel]) + 2 * canvas.noise(20)
        wall = rng.uniform(0.25, 0.6) * size
        canvas.paint(canvas.cover(depth, 4), tissue_of(staining, 'muscle', 0.3, 4))
        blood = rng.uniform() < 0.4
        inside = tissue_of(staining, 'blood', 0.4) if blood else EMPTY
        canvas.paint(canvas.cover(depth - wall), inside)
        area |= depth > -2
    return area


def paint_ring(
    canvas: Canvas,
    staining: Staining,
    depth: np.ndarray,
    height: float | np.ndarray,
    strength: float | np.ndarray = 1.0,
    pale: float = 0.35,
    basal_nuclei: float = 25.0,
) -> None:
    """Paint epithelium along outlines: nuclei at its base, paler towards the lumen.

    Args:
        canvas: Canvas that is painted on.
        staining: Colours of the picture.
        depth: (S, S) depth in the outlines, um.
        height: Height of the epithelium, um; deeper inside is left as it is.
        strength: Amount of stain relative to the picture's epithelium.
        pale: How empty (mucin) the apical half looks, 0..1.
        basal_nuclei: Nuclei at the base per 1000 um^2.
    """
    ring = canvas.cover(depth) * canvas.cover(height - depth)
    base = np.clip(1.6 - 2.2 * depth / np.maximum(height, 1), 0, 1)
    epithelium = tissue_of(
        staining, 'epithelium', 1 + basal_nuclei * base, 0, strength, pale * (1 - base)
    )
    canvas.paint(ring, epithelium)


def keeps_to(canvas: Canvas, blob: Blob, depth: np.ndarray, least: float) -> bool:
    """Tell whether an outline's centre lies at least `least` um deep in an area."""
    row, column = (
        int(np.clip(c * canvas.px, 0, canvas.size - 1)) for c in (blob.y, blob.x)
    )
    return bool(depth[row, column] > least + blob.half_length)
