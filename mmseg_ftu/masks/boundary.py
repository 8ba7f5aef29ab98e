"""The boundary of a mask as straight edges between pixels, and its column-major RLE.

Lattice point (x, y) is the upper left corner of pixel (x, y), so the outline of a pixel
runs from (x, y) to (x + 1, y + 1). A vertical edge is a chain of run ends below one
another; its two ends are corners. Along each lattice row corners pair up from left to
right, and each pair is a horizontal edge.
"""

from dataclasses import dataclass

import numpy as np

from mmseg_ftu.masks.run_mask import RunMask


@dataclass(frozen=True)
class Boundary:
    """Straight boundary edges; corner ``2 i`` is the top of vertical edge ``i``.

    Corner ``2 i + 1`` is its bottom. Where two pixels touch at a corner only, two
    corners lie in one place, and the edges turn there so that the pixels stay apart.

    Args:
        x: Column of each vertical edge, (S,).
        top: Upper end of each vertical edge, (S,).
        bottom: Lower end of each vertical edge, (S,).
        is_left: Whether the foreground lies right of the edge, (S,).
        run: Run of the mask at the upper end of the edge, (S,).
        pairs: Left and right corner of each horizontal edge, (S, 2), sorted by row,
            then by column.
    """

    x: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    is_left: np.ndarray
    run: np.ndarray
    pairs: np.ndarray

    @property
    def corner_y(self) -> np.ndarray:
        """Row of each corner, (2 S,)."""
        return np.stack([self.top, self.bottom], axis=1).ravel()


def find_boundary(mask: RunMask) -> Boundary:
    """Find the boundary of a mask."""
    height, width = mask.shape
    total = len(mask)
    # Sorted by side, column and row: ends below one another differ by 1.
    key = np.concatenate([mask.starts, mask.stops]).astype(np.int64)
    key[total:] += width + 1
    key *= height + 1
    key += np.concatenate([mask.rows, mask.rows])
    order = np.argsort(key)
    key = key[order]
    breaks = np.flatnonzero(np.diff(key) != 1) + 1
    first = np.concatenate([[0], breaks]) if total else breaks
    last = np.concatenate([breaks - 1, [2 * total - 1]]) if total else breaks
    column, top = np.divmod(key[first], height + 1)
    bottom = top + key[last] - key[first] + 1
    is_left = column <= width
    x = np.where(is_left, column, column - width - 1)
    run = order[first] % max(total, 1)

    corner = np.stack([top, bottom], axis=1).ravel() * (width + 1) + np.repeat(x, 2)
    # Of two corners in one place the end of a run belongs to the edge on the left.
    pairs = np.argsort(2 * corner + np.repeat(is_left, 2)).reshape(-1, 2)
    return Boundary(x, top, bottom, is_left, run, pairs)


def encode_columns(mask: RunMask) -> str:
    """Return the competition's RLE of a mask.

    Equal to ``mmseg_ftu.masks.rle.encode`` of its pixels. Horizontal edges are where
    the runs of columns begin and end, so memory grows with the outlines only.
    """
    edges = find_boundary(mask)
    left, right = edges.pairs.T
    begins = edges.is_left[left // 2] == (left % 2 == 0)  # else foreground ends here
    x0, x1, y = edges.x[left // 2], edges.x[right // 2], edges.corner_y[left]
    starts = _column_places(x0[begins], x1[begins], y[begins], mask.shape[0])
    stops = _column_places(x0[~begins], x1[~begins], y[~begins], mask.shape[0])
    apart = starts[1:] != stops[:-1]  # a run goes on at the top of the next column
    starts = starts[np.concatenate([[True], apart])[: len(starts)]]
    stops = stops[np.concatenate([apart, [True]])[: len(stops)]]
    runs = np.stack([starts + 1, stops - starts], axis=1)
    return ' '.join(map(str, runs.ravel().tolist()))


def _column_places(
    x0: np.ndarray, x1: np.ndarray, y: np.ndarray, height: int
) -> np.ndarray:
    """Return ``x * height + y`` for each ``x0 <= x < x1``, sorted."""
    lengths = x1 - x0
    before = np.cumsum(lengths) - lengths
    x = np.arange(lengths.sum()) + np.repeat(x0 - before, lengths)
    return np.sort(x * height + np.repeat(y, lengths))
