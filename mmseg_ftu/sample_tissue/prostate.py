"""Prostate of the sample tissue: branching glands in fibrous stroma."""

import numpy as np

from mmseg_ftu.sample_tissue.canvas import EMPTY, Canvas
from mmseg_ftu.sample_tissue.parts import (
    paint_ring,
    paint_stroma,
    paint_vessels,
    tissue_of,
)
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, Blob, draw_blob, scatter
from mmseg_ftu.sample_tissue.stains import Staining


def paint_prostate(canvas: Canvas, staining: Staining) -> None:
    """Paint a prostate and mark its glands, lumen included, as units."""
    rng = canvas.rng
    paint_stroma(canvas, staining, 3.0)
    clefts = []
    for radius in rng.uniform(8, 26, rng.integers(3, 8)):
        x, y = rng.uniform(0.1, 0.9, 2) * FIELD_UM
        clefts.append(draw_blob(rng, x, y, radius, 4 * radius, None, 0.25))
    canvas.paint(canvas.cover(canvas.depth(clefts) + 7 * canvas.noise(45)), EMPTY)
    paint_vessels(canvas, staining, int(rng.integers(2, 5)), (25, 60))
    infiltrate = canvas.cover(canvas.noise(140) * 25 - 45, 12)
    canvas.paint(infiltrate, tissue_of(staining, 'matrix', 12, 1))
    depth = canvas.depth(draw_glands(rng)) + 3 * canvas.noise(40)
    secretion = tissue_of(staining, 'blood', 0, 0, 0.4, rng.uniform(0.85, 1))
    canvas.paint(canvas.cover(depth), secretion)
    papillae = 26 * np.clip(canvas.noise(32), 0, 1.3)
    height = rng.uniform(22, 30) + papillae
    strength = np.exp(0.2 * canvas.noise(90))
    paint_ring(canvas, staining, depth, height, strength, 0.15)
    canvas.mark(depth > 0)


def draw_glands(rng: np.random.Generator) -> list[Blob]:
    """Draw glands as one to three outlines each that flow into one another."""
    glands = []
    sizes = np.sort(rng.uniform(75, 150, rng.integers(7, 12)))[::-1]
    for x, y, radius in scatter(rng, sizes, 480, 14):
        for _ in range(rng.integers(1, 4)):
            dx, dy = rng.normal(0, 0.28 * radius, 2)
            part = rng.uniform(0.55, 0.78) * radius
            long = rng.uniform(0, 0.6) * part
            glands.append(draw_blob(rng, x + dx, y + dy, part, long, None, 0.12))
    return glands
