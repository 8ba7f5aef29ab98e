"""The outline of one unit, to be drawn over the image."""

import numpy as np
import shapely

from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.outlines import trace_outlines
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.masks.smooth_outlines import smooth_outlines
from mmseg_ftu.view.pyramid import Pyramid

MOST_SIDE = 2048  # px; larger units are outlined on a smaller level
FINEST = 0.75  # px; less would keep the corners of pixels
FINE = 1000  # a long outline is simplified to such a share of the unit's side

Polygons = list[list[list[list[float]]]]  # rings of points x, y


def outline_of_shape(shape: shapely.Geometry) -> Polygons:
    """Return the rings of a polygon or multipolygon."""
    parts = shapely.get_parts(shape)
    return [
        [shapely.get_coordinates(ring).tolist() for ring in shapely.get_rings(part)]
        for part in parts
    ]


def polygons_of(rings: Polygons) -> shapely.MultiPolygon:
    """Return the geometry of rings."""
    return shapely.MultiPolygon([(shell, holes) for shell, *holes in rings])


def outline_in_box(
    pyramid: Pyramid, above: int, box: np.ndarray, shape: tuple[int, int]
) -> Polygons:
    """Trace the unit that fills a box.

    Args:
        pyramid: The mask, or the probabilities.
        above: A pixel with a larger value is a unit.
        box: Left, top, right and bottom, px of the image.
        shape: Height and width of the image, px; the pixels cover it.

    Returns:
        Polygons in px of the image; none where the box is empty.
    """
    grid = pyramid.shapes[0]
    scale = np.array([shape[1] / grid[1], shape[0] / grid[0]])
    corner = np.floor(box[:2] / scale + 1e-6).astype(int)
    end = np.ceil(box[2:] / scale - 1e-6).astype(int)
    level = 0
    while max(end - corner) / 2**level > MOST_SIDE and level < len(pyramid.shapes) - 1:
        level += 1
    height, width = pyramid.shapes[level]
    left, top = np.clip(corner >> level, 0, [width - 1, height - 1]).tolist()
    right, bottom = np.clip(-(-end >> level), [left + 1, top + 1], [width, height])
    part = pyramid.read(level, top, left, int(bottom) - top, int(right) - left)
    objects = find_objects(RunMask.from_strips([part > above], part.shape))
    if not len(objects):
        return []
    span = (objects.bottom - objects.top) + (objects.right - objects.left)
    chosen = np.zeros(len(objects), bool)
    chosen[np.lexsort((objects.area, span))[-1]] = True  # it reaches the sides
    exact = trace_outlines(objects.select(chosen))
    polygons = next(smooth_outlines(exact, max(FINEST, max(part.shape) / FINE)))
    origin = np.array([left, top])
    return [
        [((ring + origin) * 2**level * scale).tolist() for ring in rings]
        for rings in polygons
    ]
