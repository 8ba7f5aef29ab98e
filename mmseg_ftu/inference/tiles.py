"""Overlapping tiles and their windows, which add up to one.

Along each axis the windows of neighbours cross-fade over their overlap (raised cosine)
and are scaled to sum to one everywhere, also where the last tile is moved back to the
border. The window of a tile is the product of the two axes.
"""

from collections.abc import Iterable, Iterator
from math import prod
from typing import NamedTuple

import numpy as np


class Tile(NamedTuple):
    """A part of the working image.

    Attributes:
        top: First row, px.
        left: First column, px.
        down: Window along its rows, ``(height,)`` float32.
        across: Window along its columns, ``(width,)`` float32.
    """

    top: int
    left: int
    down: np.ndarray
    across: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, px."""
        return len(self.down), len(self.across)


def axis_windows(length: int, tile: int, overlap: int) -> list[tuple[int, np.ndarray]]:
    """Return the tiles of one axis.

    Args:
        length: Length of the axis, px.
        tile: Length of a tile, px; the whole axis is one tile if that is longer.
        overlap: The least overlap of neighbours, px, up to half of a tile.

    Returns:
        Starts and float64 windows; the windows of all tiles sum to one at each pixel.

    Raises:
        ValueError: If tile or overlap is out of range.
    """
    check_tile(tile, overlap)
    if tile >= length:
        return [(0, np.ones(length))]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [round(i * (length - tile) / (count - 1)) for i in range(count)]
    total, windows = np.zeros(length), []
    for start in starts:
        window = _bump(tile, overlap, start == 0, start + tile == length)
        windows.append(window)
        total[start : start + tile] += window
    return [
        (start, window / total[start : start + tile])
        for start, window in zip(starts, windows, strict=True)
    ]


def check_tile(tile: int, overlap: int) -> None:
    """Raise ValueError if tile or overlap is out of range."""
    if tile < 1 or not 0 <= overlap <= tile // 2:
        raise ValueError(
            f'tile={tile}, overlap={overlap}: give a tile of at least 1 px and an '
            'overlap of 0 to half of it'
        )


def _bump(tile: int, overlap: int, is_first: bool, is_last: bool) -> np.ndarray:
    """Return a window that rises and falls over the overlap, but not at a border."""
    window = np.ones(tile)
    if overlap:
        rise = np.sin((np.arange(overlap) + 0.5) / overlap * np.pi / 2) ** 2
        if not is_first:
            window[:overlap] *= rise
        if not is_last:
            window[tile - overlap :] *= rise[::-1]
    return window


def tile_rows(shape: tuple[int, int], tile: int, overlap: int) -> Iterator[list[Tile]]:
    """Yield the tiles row by row, from the top; see `axis_windows`."""
    rows, columns = (
        [(start, window.astype(np.float32)) for start, window in axis]
        for axis in (axis_windows(length, tile, overlap) for length in shape)
    )
    for top, down in rows:
        yield [Tile(top, left, down, across) for left, across in columns]


def count_tiles(shape: tuple[int, int], tile: int, overlap: int) -> int:
    """Return how many tiles `tile_rows` makes."""
    return prod(len(axis_windows(length, tile, overlap)) for length in shape)


def blend(
    shape: tuple[int, int],
    rows: Iterable[tuple[list[Tile], list[np.ndarray | None]]],
) -> Iterator[tuple[int, np.ndarray]]:
    """Average the tiles of an image and give away each line as soon as it is complete.

    Memory holds one row of tiles, whatever the height of the image.

    Args:
        shape: Height and width of the image, px.
        rows: Each row of `tile_rows` with the probability ``(h, w)`` of its tiles; None
            takes no part.

    Yields:
        The first line, and the finished lines ``(n, width)`` float32, from the top: the
        mean of the tiles that cover a pixel, weighted by their windows, or 0.
    """
    done, sums = 0, np.zeros((2, 0, shape[1]), np.float32)  # of values, of windows
    for row, values in rows:
        top, height = row[0].top, row[0].shape[0]
        if top > done:
            yield done, _mean(*sums[:, : top - done])
        kept = sums[:, top - done :]
        sums = np.zeros((2, height, shape[1]), np.float32)
        sums[:, : kept.shape[1]] = kept
        done = top
        for tile, value in zip(row, values, strict=True):
            if value is not None:
                window = tile.down[:, None] * tile.across
                part = sums[:, :, tile.left : tile.left + tile.shape[1]]
                part[0] += window * value
                part[1] += window
    yield done, _mean(*sums)


def _mean(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Return values / windows, 0 where no tile took part."""
    mean = np.zeros_like(values)
    np.divide(values, windows, out=mean, where=windows > 0)
    return mean
