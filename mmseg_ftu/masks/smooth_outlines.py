"""Outlines with fewer points, within a stated distance of the exact ones.

Each ring is cut into two lines, which are simplified by Douglas and Peucker's rule
(shapely's, for lines): no point of the old line is farther from the new one than the
tolerance, nor the reverse. Whole rings are not handed to shapely, since it moves their
first point by more than that, and ``simplify_coverage`` bounds areas, not distances.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import shapely

from mmseg_ftu.masks.outlines import Polygon, Ring, signed_area

AT_ONCE = 500  # objects; shapely works on arrays
AREA = 0.05  # share by which the area of an object may change
FINEST = 0.5  # px; below it each corner of a pixel is kept


def smooth_outlines(
    outlines: Iterable[list[Polygon]], deviation: float
) -> Iterator[list[Polygon]]:
    """Yield the polygons of each object with fewer points.

    They remain valid (OGC simple features): no ring meets itself, holes stay in their
    outlines, and parts of an object do not overlap. Where leaving out points would
    break that, or change the area of the object by more than 5 %, fewer are left out.
    Outlines of different objects may meet.

    Args:
        outlines: Exact polygons of each object, as ``trace_outlines`` yields them.
        deviation: Largest distance of any point of the new outline from the old one,
            and of the old from the new, px.
    """
    remaining = iter(outlines)
    while batch := list(islice(remaining, AT_ONCE)):
        smooth = batch.copy()
        left = np.arange(len(batch))
        tolerance = deviation
        while len(left) and tolerance >= FINEST:
            tried = _simplified([batch[i] for i in left], tolerance)
            kept = _are_alike(tried, [batch[i] for i in left])
            for i in np.flatnonzero(kept):
                smooth[left[i]] = tried[i]
            left = left[~kept]
            tolerance /= 2
        yield from smooth


def _simplified(objects: list[list[Polygon]], tolerance: float) -> list[list[Polygon]]:
    """Simplify the rings of objects."""
    rings = [ring for polygons in objects for polygon in polygons for ring in polygon]
    corner = [_farthest(ring) for ring in rings]
    halves = [
        half
        for ring, k in zip(rings, corner, strict=True)
        for half in (ring[: k + 1], ring[k:])
    ]
    counts = np.array([len(half) for half in halves])
    lines = shapely.linestrings(
        np.concatenate(halves), indices=np.repeat(np.arange(len(halves)), counts)
    )
    simple = shapely.simplify(lines, tolerance, preserve_topology=False)
    points = shapely.get_coordinates(simple).astype(np.int64)
    ends = np.cumsum(shapely.get_num_coordinates(simple))
    pieces = iter(np.split(points, ends[:-1]))
    joined = iter([np.concatenate([one, next(pieces)[1:]]) for one in pieces])
    return [
        [[next(joined) for _ in polygon] for polygon in polygons]
        for polygons in objects
    ]


def _farthest(ring: Ring) -> int:
    """Return the place of the point that is farthest from the first one."""
    return int(np.square(ring - ring[0]).sum(axis=1).argmax())


def _are_alike(new: list[list[Polygon]], old: list[list[Polygon]]) -> np.ndarray:
    """Tell which objects are valid and have kept their area, (N,) bool."""
    alike = np.array(
        [all(len(r) >= 4 for polygon in polygons for r in polygon) for polygons in new]
    )
    places = np.flatnonzero(alike)
    shapes = np.array([_shape(new[i]) for i in places], object)
    exact = np.array([_area(old[i]) for i in places])
    changed = np.abs(shapely.area(shapes) - exact)
    alike[places] = shapely.is_valid(shapes) & (changed <= AREA * exact)
    return alike


def _shape(polygons: list[Polygon]) -> shapely.Geometry:
    parts = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _area(polygons: list[Polygon]) -> float:
    return sum(signed_area(ring) for rings in polygons for ring in rings)
