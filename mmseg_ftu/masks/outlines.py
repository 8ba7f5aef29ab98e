"""Outlines of objects as valid polygons that hold exactly their pixels.

Outlines follow pixel edges. A polygon whose ring meets itself is invalid (OGC simple
features), so rings turn at corners such that pixels which touch there only lie in two
polygons, and a ring that still passes a point twice is cut there into outline and hole.
"""

from collections.abc import Iterator

import numpy as np

from mmseg_ftu.masks.boundary import Boundary, find_boundary
from mmseg_ftu.masks.objects import Objects, label_runs

Ring = np.ndarray  # (n, 2) int, x and y, first point repeated at the end
Polygon = list[Ring]  # the outline and then its holes


def trace_outlines(objects: Objects) -> Iterator[list[Polygon]]:
    """Yield the polygons of each object, in the objects' order.

    An object is one polygon, or several where its parts touch at corners only.
    Coordinates are px, (0, 0) is the upper left corner of the upper left pixel. In
    these numbers outlines have positive area and holes negative.
    """
    edges = find_boundary(objects.mask)
    order, ends = _walk(edges)
    part_of_run = label_runs(objects.mask, connectivity=4)  # one polygon each
    object_of_part = np.zeros(part_of_run.max(initial=-1) + 1, np.int64)
    object_of_part[part_of_run] = objects.labels
    loops_of_object: list[list[int]] = [[] for _ in range(len(objects))]
    begins = np.concatenate([[0], ends[:-1]])[: len(ends)]
    parts = part_of_run[edges.run[order[begins]]]
    for loop, part in enumerate(parts.tolist()):
        loops_of_object[object_of_part[part]].append(loop)
    points = _points(edges, order)
    meets_itself = _loops_meeting_themselves(edges, order, ends)
    for loops in loops_of_object:
        polygons: dict[int, Polygon] = {}
        for loop in loops:
            ring = points[2 * begins[loop] : 2 * ends[loop]]
            rings = _cut(ring) if meets_itself[loop] else [ring]
            for piece in rings:
                polygon = polygons.setdefault(parts[loop], [])
                closed = np.concatenate([piece, piece[:1]])
                polygon.insert(0 if signed_area(closed) > 0 else len(polygon), closed)
        yield list(polygons.values())


def _walk(edges: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """Follow the edges around, with the foreground on one side.

    Returns:
        (S,) vertical edges loop by loop, and (L,) where each loop ends therein.
    """
    partner = np.empty(edges.pairs.size, np.int64)
    partner[edges.pairs] = edges.pairs[:, ::-1]
    # Up along left edges, down along right ones: leave by the top or the bottom corner.
    leaves = 2 * np.arange(len(edges.x)) + ~edges.is_left
    following = (partner[leaves] // 2).tolist()
    order, ends = [], []
    free = bytearray(b'\1') * len(following)
    for edge in range(len(following)):
        if free[edge]:
            while free[edge]:
                free[edge] = 0
                order.append(edge)
                edge = following[edge]
            ends.append(len(order))
    return np.array(order, np.int64), np.array(ends, np.int64)


def _points(edges: Boundary, order: np.ndarray) -> np.ndarray:
    """Return both corners of each vertical edge as they are passed, (2 S, 2)."""
    x, top, bottom = edges.x[order], edges.top[order], edges.bottom[order]
    up = edges.is_left[order]
    y = np.stack([np.where(up, bottom, top), np.where(up, top, bottom)], axis=1)
    return np.stack([np.repeat(x, 2), y.ravel()], axis=1)


def _loops_meeting_themselves(
    edges: Boundary, order: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Return which loops pass a point twice, (L,) bool."""
    loop = np.empty(len(order), np.int64)
    loop[order] = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    corners = edges.pairs.ravel()
    one, other = corners[:-1] // 2, corners[1:] // 2
    y = edges.corner_y[corners]
    same = (edges.x[one] == edges.x[other]) & (y[:-1] == y[1:])
    same &= loop[one] == loop[other]
    result = np.zeros(len(ends), bool)
    result[loop[one[same]]] = True
    return result


def _cut(ring: np.ndarray) -> list[np.ndarray]:
    """Cut a ring at the points that it passes twice into rings that pass none twice."""
    rings: list[np.ndarray] = []
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for point in ((x, y) for x, y in ring.tolist()):
        if point not in place:
            place[point] = len(path)
            path.append(point)
            continue
        begin = place[point]
        rings.append(np.array(path[begin:]))
        for passed in path[begin + 1 :]:
            del place[passed]
        del path[begin + 1 :]
    return [*rings, np.array(path)]


def signed_area(ring: Ring) -> float:
    """Return the area of a closed ring, px; negative for a hole."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
