"""Polygons as a mask: a pixel is in where its centre is.

Coordinates are corners of pixels, so the centre of pixel (row, column) is at
(column + .5, row + .5). A centre on an outline belongs to one side of it only, so
polygons that share an edge leave no gap between them and do not overlap. The outlines
that ``outlines`` traces of a mask are filled to the same mask.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import shapely

from mmseg_ftu.masks.run_mask import RunMask

AT_ONCE = 500_000  # points, and crossings of outlines and rows, 50 MB


def fill_polygons(
    outlines: Iterable[shapely.Geometry],
    shape: tuple[int, int],
    at_once: int = AT_ONCE,
) -> RunMask:
    """Fill polygons; where they overlap they are one.

    Args:
        outlines: Valid polygons and multipolygons, px; what lies outside is cut off.
        shape: Height and width of the mask, px.
        at_once: Points, and crossings of outlines and rows, that are held at once.
    """
    objects = np.array([*outlines], object)
    polygons = shapely.get_parts(objects) if len(objects) else objects
    runs = [
        _runs(edges, shape)
        for some in _divided(polygons, shapely.get_num_coordinates(polygons), at_once)
        for edges in _edge_batches(some, shape[0], at_once)
    ]
    rows, starts, stops = np.concatenate([np.zeros((3, 0), np.int64), *runs], axis=1)
    return _joined(rows, starts, stops, shape)


def _edge_batches(
    polygons: np.ndarray, height: int, at_once: int
) -> Iterator[np.ndarray]:
    """Yield the edges of some polygons at a time, from the upper to the lower end.

    Each is (6, N) float64: polygon, first row and row after the last whose centres the
    edge crosses, x and y of its upper end, and columns per row.
    """
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    is_edge = ring[1:] == ring[:-1]
    begin, end = xy[:-1][is_edge], xy[1:][is_edge]
    # in one direction, so that neighbours compute the same crossings of a common edge
    is_up = begin[:, 1] > end[:, 1]
    begin[is_up], end[is_up] = end[is_up], begin[is_up]
    first, last = (np.ceil(y - 0.5).clip(0, height) for y in (begin[:, 1], end[:, 1]))
    kept = first < last
    begin, step = begin[kept], (end - begin)[kept]
    of_polygon = polygon[ring[:-1][is_edge][kept]]
    rows = np.stack([first[kept], last[kept]])
    slope = step[:, 0] / step[:, 1]
    edges = np.stack([of_polygon, *rows, *begin.T, slope])
    crossings = np.bincount(of_polygon, rows[1] - rows[0])
    batch = (np.cumsum(crossings) // at_once)[of_polygon]  # polygons stay whole
    yield from np.split(edges, np.flatnonzero(np.diff(batch)) + 1, axis=1)


def _divided(items: np.ndarray, sizes: np.ndarray, at_once: int) -> list[np.ndarray]:
    """Divide items into groups whose sizes sum to about ``at_once``."""
    group = np.cumsum(sizes) // at_once
    return np.split(items, np.flatnonzero(np.diff(group)) + 1)


def _runs(edges: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return rows, starts and stops of the runs between crossings, (3, R) int64."""
    polygon, first, last, x, y, slope = edges
    counts = (last - first).astype(np.int64)
    edge = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    row = first[edge] + np.arange(len(edge)) - before[edge]
    crossing = x[edge] + (row + 0.5 - y[edge]) * slope[edge]
    order = np.lexsort((crossing, row, polygon[edge]))
    column = np.ceil(crossing[order] - 0.5).clip(0, shape[1])
    runs = np.stack([row[order][::2], column[::2], column[1::2]]).astype(np.int64)
    return runs[:, runs[1] < runs[2]]


def _joined(
    rows: np.ndarray, starts: np.ndarray, stops: np.ndarray, shape: tuple[int, int]
) -> RunMask:
    """Return the mask of runs in any order that may overlap or touch."""
    line = shape[1] + 1
    order = np.argsort(rows * line + starts, kind='stable')
    begin, end = (rows * line + starts)[order], (rows * line + stops)[order]
    reached = np.maximum.accumulate(end)
    is_first = np.ones(len(begin), bool)
    is_first[1:] = begin[1:] > reached[:-1]
    row, start = np.divmod(begin[is_first], line)
    stop = reached[np.append(is_first[1:], True)[: len(reached)]] - row * line
    return RunMask(shape, *(a.astype(np.int32) for a in (row, start, stop)))
