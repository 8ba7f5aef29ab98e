"""Spleen of the sample tissue: white pulp in red pulp with trabeculae."""

import numpy as np

from mmseg_ftu.sample_tissue.canvas import EMPTY, Canvas
from mmseg_ftu.sample_tissue.parts import tissue_of
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, Blob, draw_blob, scatter
from mmseg_ftu.sample_tissue.stains import Staining


def paint_spleen(canvas: Canvas, staining: Staining) -> None:
    """Paint a spleen and mark its white pulp as units."""
    rng = canvas.rng
    paint_red_pulp(canvas, staining)
    radii = np.sort(rng.uniform(80, 185, rng.integers(3, 6)))[::-1]
    follicles = [
        draw_blob(rng, x, y, 0.85 * radius, rng.uniform(0, 0.5) * radius, None, 0.12)
        for x, y, radius in scatter(rng, radii, 450, 25)
    ]
    depth = canvas.depth(follicles) + 9 * canvas.noise(60)
    white = tissue_of(staining, 'matrix', 19, 0, rng.uniform(0.7, 1.0))
    canvas.paint(canvas.cover(depth, 22), white)
    if rng.uniform() < 0.6:
        centre = tissue_of(staining, 'matrix', 13, 0, rng.uniform(0.7, 1.0))
        canvas.paint(canvas.cover(depth - 60, 18), centre)
    arterioles = [
        Blob(b.x + 0.4 * b.radius, b.y, rng.uniform(11, 17)) for b in follicles
    ]
    wall = canvas.depth(arterioles)
    canvas.paint(canvas.cover(wall, 3), tissue_of(staining, 'muscle', 1, 3))
    canvas.paint(canvas.cover(wall - 8), EMPTY)
    canvas.mark(depth > 0)


def paint_red_pulp(canvas: Canvas, staining: Staining) -> None:
    """Fill the picture with cords and sinuses, patches of them as dense as follicles.

    Trabeculae, smooth as follicles are, run through it.
    """
    rng = canvas.rng
    sinuses = 0.8 * canvas.noise(40) + 0.6 * canvas.noise(14)
    hollow = np.clip(0.55 * sinuses - 0.25, 0, 0.75)
    dense = canvas.cover(canvas.noise(170) * 40 - 20, 50)
    cords = np.exp(-0.3 * sinuses)
    canvas.paint(1.0, tissue_of(staining, 'matrix', 5 + 6 * dense, 1, cords, hollow))
    beams = []
    for width in rng.uniform(14, 34, rng.integers(2, 5)):
        x, y = rng.uniform(0.1, 0.9, 2) * FIELD_UM
        beams.append(draw_blob(rng, x, y, width, rng.uniform(60, 220)))
    depth = canvas.depth(beams) + 4 * canvas.noise(50)
    strength = np.exp(0.15 * canvas.fibres())
    trabecula = tissue_of(staining, 'muscle', 0.5, 3, strength)
    canvas.paint(canvas.cover(depth, 5), trabecula)
