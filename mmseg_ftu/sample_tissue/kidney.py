"""Kidney of the sample tissue: glomeruli among tubules, vessels and infiltrates."""

import numpy as np

from mmseg_ftu.sample_tissue.canvas import EMPTY, Canvas
from mmseg_ftu.sample_tissue.parts import paint_ring, paint_vessels, tissue_of
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, draw_blob, lattice, scatter
from mmseg_ftu.sample_tissue.stains import Staining


def paint_kidney(canvas: Canvas, staining: Staining) -> None:
    """Paint a kidney and mark its glomeruli as units."""
    rng = canvas.rng
    canvas.paint(1.0, tissue_of(staining, 'matrix', 2, 2))
    paint_tubules(canvas, staining)
    paint_vessels(canvas, staining, int(rng.integers(1, 4)), (25, 60))
    infiltrate = canvas.cover(canvas.noise(150) * 30 - 50, 20)
    canvas.paint(infiltrate, tissue_of(staining, 'epithelium', 15, 1))
    sizes = rng.uniform(72, 112, rng.integers(5, 9))
    for x, y, radius in scatter(rng, sizes, 0.42 * FIELD_UM, 10):
        paint_glomerulus(canvas, staining, x, y, radius)


def paint_tubules(canvas: Canvas, staining: Staining) -> None:
    """Fill the picture with tubules, each a ring of epithelium."""
    rng = canvas.rng
    tubules = [
        draw_blob(rng, x, y, rng.uniform(23, 31), rng.choice([0, 0, 12, 35]))
        for x, y in lattice(rng, (54, 47), rng.uniform(0, np.pi))
    ]
    strength = np.exp(0.35 * canvas.noise(60))
    depth = canvas.depth(tubules, apart=True) + 1.5 * canvas.noise(15)
    height = 14 + 4 * canvas.noise(50)
    canvas.paint(canvas.cover(depth), EMPTY)
    paint_ring(canvas, staining, depth, height, strength, 0.1, 8)


def paint_glomerulus(
    canvas: Canvas, staining: Staining, x: float, y: float, radius: float
) -> None:
    """Paint a tuft of capillaries in Bowman's space, and mark the whole as a unit."""
    rng = canvas.rng
    capsule = draw_blob(rng, x, y, radius, rng.uniform(0, 0.25) * radius)
    depth = canvas.depth([capsule])
    gap = rng.uniform(8, 15)
    turn = rng.uniform(0, 2 * np.pi)
    tuft = capsule._replace(
        x=x + 0.7 * gap * np.cos(turn),
        y=y + 0.7 * gap * np.sin(turn),
        radius=capsule.radius - gap - 3,
    )
    tuft_depth = canvas.depth([tuft]) + 4 * canvas.noise(22)
    canvas.paint(canvas.cover(depth), tissue_of(staining, 'matrix', 1, 3))
    canvas.paint(canvas.cover(depth - 4), EMPTY)
    capillaries = np.clip(0.7 * canvas.noise(12) - 0.4, 0, 0.9)
    lobes = np.exp(0.2 * canvas.noise(30))
    tuft_tissue = tissue_of(staining, 'epithelium', 17, 0, lobes, capillaries)
    canvas.paint(canvas.cover(tuft_depth, 2), tuft_tissue)
    canvas.mark(depth > 0)
