"""Lung of the sample tissue: alveoli beside ducts, vessels and dense tissue."""

import cv2
import numpy as np

from mmseg_ftu.sample_tissue.canvas import EMPTY, Canvas
from mmseg_ftu.sample_tissue.parts import paint_vessels, tissue_of
from mmseg_ftu.sample_tissue.shapes import FIELD_UM, draw_blob, lattice, scatter
from mmseg_ftu.sample_tissue.stains import Staining

CELL_RESOLUTION = 256  # px; cells have straight borders, so coarse is good enough


def paint_lung(canvas: Canvas, staining: Staining) -> None:
    """Paint lung tissue and mark closed alveoli with their air as units."""
    rng = canvas.rng
    points = lattice(rng, (116, 101), rng.uniform(0, np.pi), 0.22)
    cell, border = nearest_cells(points, min(canvas.size, CELL_RESOLUTION))
    shape = (canvas.size, canvas.size)
    cell = cv2.resize(cell, shape, interpolation=cv2.INTER_NEAREST)
    border = cv2.resize(border, shape) + 1.5 * canvas.noise(30)
    thick = np.clip(6 + 1.5 * canvas.noise(120), 4, 10)
    canvas.paint(1.0, tissue_of(staining, 'matrix', 7, 2, 1.2))
    canvas.paint(canvas.cover(border - thick), EMPTY)
    other = paint_ducts(canvas, staining)
    other |= paint_dense_tissue(canvas, staining)
    other |= paint_vessels(canvas, staining, int(rng.integers(1, 4)), (35, 85))
    closed = closed_cells(cell, canvas.tissue, len(points))[cell]
    canvas.mark(closed & (border > thick) & ~other)
    # Cells cut open by the specimen's edge leave stumps of their walls.
    canvas.cut(closed | (border < 1.4 * thick) | other)


def paint_ducts(canvas: Canvas, staining: Staining) -> np.ndarray:
    """Paint alveolar ducts: large air spaces, no units; return where, bool (S, S)."""
    rng = canvas.rng
    sizes = rng.uniform(70, 120, rng.integers(2, 5))
    ducts = [
        draw_blob(rng, x, y, radius, rng.uniform(0, 0.8) * radius, wobble=0.12)
        for x, y, radius in scatter(rng, sizes, 450, 30)
    ]
    depth = canvas.depth(ducts) + 6 * canvas.noise(60)
    canvas.paint(canvas.cover(depth + 8), tissue_of(staining, 'matrix', 7, 2, 1.2))
    canvas.paint(canvas.cover(depth), EMPTY)
    ducts_and_walls: np.ndarray = depth > -8
    return ducts_and_walls


def paint_dense_tissue(canvas: Canvas, staining: Staining) -> np.ndarray:
    """Paint collapsed lung: tissue with slits; return where, bool (S, S)."""
    depth = canvas.noise(300) * 45 - canvas.rng.uniform(5, 45)
    slits = np.clip(1.1 * canvas.noise(28) - 0.5, 0, 1)
    collapsed = tissue_of(staining, 'matrix', 7, 2, 1.0, slits)
    canvas.paint(canvas.cover(depth, 12), collapsed)
    return depth > -6


def nearest_cells(points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the field into one cell a point.

    Args:
        points: (N, 2), x and y in um.
        size: Width and height of the result, px.

    Returns:
        Index of the cell, uint16 (size, size), and the distance to the cell's border
        in um, float32 (size, size).
    """
    y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) * FIELD_UM / size
    first = np.full((size, size), np.inf, np.float32)
    second, cell = first.copy(), np.zeros((size, size), np.uint16)
    for index, (px, py) in enumerate(points.astype(np.float32)):
        distance = np.hypot(x - px, y - py)
        nearer = distance < first
        second = np.where(nearer, first, np.minimum(second, distance))
        first = np.where(nearer, distance, first)
        cell[nearer] = index
    return cell, (second - first) / 2


def closed_cells(cell: np.ndarray, tissue: np.ndarray, count: int) -> np.ndarray:
    """Tell which of `count` cells lie within the tissue, all but a twentieth."""
    area = np.bincount(cell.ravel(), minlength=count)
    kept = np.bincount(cell[tissue], minlength=count)
    return (kept >= 0.95 * area) & (area > 0)
