"""Large intestine of the sample tissue: crypts in mucosa beside the submucosa."""

import numpy as np

from mmseg_ftu.sample_tissue.canvas import EMPTY, Canvas
from mmseg_ftu.sample_tissue.parts import (
    keeps_to,
    paint_ring,
    paint_stroma,
    paint_vessels,
    tissue_of,
)
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, Blob, draw_blob, lattice
from mmseg_ftu.sample_tissue.stains import Staining


def paint_large_intestine(canvas: Canvas, staining: Staining) -> None:
    """Paint a piece of bowel wall and mark its crypts as units."""
    rng = canvas.rng
    paint_submucosa(canvas, staining)
    facing = rng.uniform(0, 2 * np.pi)
    mucosa = paint_mucosa(canvas, staining, facing)
    crypts = [
        crypt
        for crypt in draw_crypts(rng, facing, lengthwise=rng.uniform() < 0.4)
        if keeps_to(canvas, crypt, mucosa, 35) and rng.uniform() < 0.93
    ]
    paint_fold(canvas, staining)
    depth = canvas.depth(crypts, apart=True) + 1.5 * canvas.noise(25)
    strength = np.exp(0.2 * canvas.noise(90))
    canvas.paint(canvas.cover(depth), EMPTY)
    height = rng.uniform(26, 32) + 3 * canvas.noise(60)
    paint_ring(canvas, staining, depth, height, strength, rng.uniform(0.2, 0.5))
    canvas.mark(depth > 0)


def paint_submucosa(canvas: Canvas, staining: Staining) -> None:
    """Fill the picture with fibrous tissue, patches of fat cells and vessels."""
    rng = canvas.rng
    paint_stroma(canvas, staining, 1.2)
    fatty = canvas.noise(350)
    cells = [
        draw_blob(rng, x, y, rng.uniform(24, 40))
        for x, y in lattice(rng, (66, 58), jitter=0.2)
    ]
    cells = [cell for cell in cells if keeps_to(canvas, cell, fatty, 0.3)]
    canvas.paint(canvas.cover(canvas.depth(cells, apart=True) - 2), EMPTY)
    paint_vessels(canvas, staining, int(rng.integers(1, 4)), (20, 45))


def paint_mucosa(canvas: Canvas, staining: Staining, facing: float) -> np.ndarray:
    """Paint loose lamina propria on the side `facing`, with a lymphoid follicle.

    Returns:
        Float32 (S, S): depth in the mucosa, um, negative outside.
    """
    y, x = (np.mgrid[: canvas.size, : canvas.size] + 0.5) / canvas.px - FIELD_UM / 2
    away = x * np.cos(facing) + y * np.sin(facing) + canvas.rng.uniform(80, 330)
    mucosa: np.ndarray = away.astype(np.float32) + 30 * canvas.noise(250)
    loose = np.clip(0.25 + 0.15 * canvas.noise(20), 0, 0.6)
    propria = tissue_of(staining, 'matrix', 4.5, 1, 0.8, loose)
    canvas.paint(canvas.cover(mucosa, 20), propria)
    follicle = canvas.cover(canvas.noise(260) * 40 - 75, 20)
    canvas.paint(follicle, tissue_of(staining, 'matrix', 14))
    return mucosa


def draw_crypts(
    rng: np.random.Generator, facing: float, lengthwise: bool
) -> list[Blob]:
    """Draw crypts as circles and ovals, or as long tubes parallel to `facing`."""
    if not lengthwise:
        return [
            draw_blob(rng, x, y, rng.uniform(36, 49), rng.choice([0, 6, 16]))
            for x, y in lattice(rng, (124, 108), rng.uniform(0, np.pi), 0.1)
        ]
    return [
        draw_blob(
            rng,
            x,
            y,
            radius=rng.uniform(33, 42),
            half_length=rng.uniform(45, 105),
            angle=facing + rng.normal(0, 0.12),
        )
        for x, y in lattice(rng, (100, 300), facing + np.pi / 2, 0.1)
    ]


def paint_fold(canvas: Canvas, staining: Staining) -> None:
    """Paint a gap lined by surface epithelium: the crypts' cells, but no crypt."""
    rng = canvas.rng
    turn = rng.uniform(0, 2 * np.pi)
    x, y = FIELD_UM / 2 + 430 * np.array([np.cos(turn), np.sin(turn)])
    fold = draw_blob(rng, x, y, rng.uniform(25, 45), rng.uniform(90, 180), None, 0.2)
    depth = canvas.depth([fold]) + 3 * canvas.noise(40)
    canvas.paint(canvas.cover(depth), EMPTY)
    paint_ring(canvas, staining, -depth, 24.0, pale=0.3)
