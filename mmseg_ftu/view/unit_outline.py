"""The outline of one unit, to be drawn over the image."""

from typing import NamedTuple

import numpy as np
import shapely

from mmseg_ftu.masks.objects import Objects, find_objects
from mmseg_ftu.masks.outlines import trace_outlines
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.masks.smooth_outlines import smooth_outlines
from mmseg_ftu.view.pyramid import Pyramid

# px; larger units are outlined on a smaller level, where thin gaps between units close
MOST_SIDE = 8192
ALIKE = 0.02  # share by which areas may differ by rounding
STRIP = 512  # rows that are read at a time
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


class Part(NamedTuple):
    """The objects inside the box of a unit.

    Attributes:
        objects: The objects, px of the part.
        corner: Left and top of the part, in its px.
        scale: Pixels of the image that one of the part is wide and high.
    """

    objects: Objects
    corner: np.ndarray
    scale: np.ndarray

    @classmethod
    def read(
        cls, pyramid: Pyramid, above: int, box: np.ndarray, shape: tuple[int, int]
    ) -> 'Part':
        """Find the objects inside a box.

        Args:
            pyramid: The mask, or the probabilities.
            above: A pixel with a larger value is a unit.
            box: Left, top, right and bottom, px of the image.
            shape: Height and width of the image, px; the pixels cover it.
        """
        grid = pyramid.shapes[0]
        scale = np.array([shape[1] / grid[1], shape[0] / grid[0]])
        corner = np.floor(box[:2] / scale + 1e-6).astype(int)
        end = np.ceil(box[2:] / scale - 1e-6).astype(int)
        level, last = 0, len(pyramid.shapes) - 1
        while max(end - corner) / 2**level > MOST_SIDE and level < last:
            level += 1
        height, width = pyramid.shapes[level]
        left, top = np.clip(corner >> level, 0, [width - 1, height - 1]).tolist()
        right, bottom = np.clip(-(-end >> level), [left + 1, top + 1], [width, height])
        size = int(bottom) - top, int(right) - left
        strips = (
            pyramid.read(level, top + y, left, min(STRIP, size[0] - y), size[1]) > above
            for y in range(0, size[0], STRIP)
        )
        objects = find_objects(RunMask.from_strips(strips, size))
        return cls(objects, np.array([left, top]), 2**level * scale)

    def place_of(self, x: int, y: int) -> int | None:
        """Return which object covers a pixel of the image, None for background."""
        column, row = ((np.array([x, y]) + 0.5) / self.scale).astype(int) - self.corner
        mask = self.objects.mask
        hit = (mask.rows == row) & (mask.starts <= column) & (column < mask.stops)
        found = self.objects.labels[hit]
        return int(found[0]) if len(found) else None

    def box_of(self, place: int) -> np.ndarray:
        """Return left, top, right and bottom of an object, px of the image."""
        found = self.objects
        sides = found.left, found.top, found.right, found.bottom
        corners = np.array([side[place] for side in sides])
        box: np.ndarray = (corners + np.tile(self.corner, 2)) * np.tile(self.scale, 2)
        return box


def covers(
    pyramid: Pyramid,
    above: int,
    box: np.ndarray,
    area: float,
    shape: tuple[int, int],
    place: tuple[int, int],
) -> bool:
    """Tell whether a pixel is of the unit that has a box and an area.

    Args:
        pyramid: The mask, or the probabilities.
        above: A pixel with a larger value is a unit.
        box: Left, top, right and bottom of the unit, px of the image.
        area: Area of the unit, px of the image.
        shape: Height and width of the image, px; the pixels cover it.
        place: Column and row of the pixel, px of the image.
    """
    part = Part.read(pyramid, above, box, shape)
    found = part.place_of(*place)
    if found is None:
        return False
    off = np.abs(part.box_of(found) - box).max()
    its_area = part.objects.area[found] * part.scale.prod()
    is_alike = abs(its_area - area) <= ALIKE * area + 2 * part.scale.prod()
    return bool(off <= 2 * part.scale.max() and is_alike)


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
    objects, corner, scale = Part.read(pyramid, above, box, shape)
    if not len(objects):
        return []
    span = (objects.bottom - objects.top) + (objects.right - objects.left)
    chosen = np.zeros(len(objects), bool)
    chosen[np.lexsort((objects.area, span))[-1]] = True  # it reaches the sides
    exact = trace_outlines(objects.select(chosen))
    longest = max(objects.mask.shape)
    polygons = next(smooth_outlines(exact, max(FINEST, longest / FINE)))
    return [
        [((ring + corner) * scale).tolist() for ring in rings] for rings in polygons
    ]
