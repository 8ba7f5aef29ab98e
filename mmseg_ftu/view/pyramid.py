"""Tiles of an image at its full size and at each halved one, as a zoomable page asks.

Levels count halvings: a pixel of level k covers 2^k x 2^k px of the image, and the side
of the level is rounded up, as in Deep Zoom. A tile is read from the nearest larger
level of the file. Where a file has none below its large first one, smaller levels are
made in one pass when they are first wanted, and held in memory (1/64 of the pixels).
"""

import threading
from typing import Protocol

import cv2
import numpy as np

from mmseg_ftu.io.working_image import best_level, blocks

TILE = 512  # px a side
LARGE = 4096  # px; the longer side up to which a level is read whole for an overview
STEP = 8  # by which a level that is made is smaller than the one above it
MOST = 4  # times as long as a tile of the level is what is read of a large file's


class Pixels(Protocol):
    """What tiles are made of: a ``Source`` or a ``GreySource``."""

    shape: tuple[int, int]
    levels: list[tuple[int, int]]
    by_rows: bool

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region given in px of its level."""


class Pyramid:
    """An image at its full size and at each halved one.

    Args:
        pixels: The image, of any number of channels; it stays open.

    Attributes:
        pixels: The image.
        shapes: Height and width of each level, the full size first, px; those of the
            last one fit into a tile.
    """

    def __init__(self, pixels: Pixels) -> None:
        self.pixels, self.shapes = pixels, [pixels.shape]
        while max(self.shapes[-1]) > TILE:
            height, width = self.shapes[-1]
            self.shapes.append((-(-height // 2), -(-width // 2)))
        self._made: list[np.ndarray] = []
        self._lock = threading.Lock()

    @property
    def is_large(self) -> bool:
        """Whether an overview takes a pass through a large level of the file."""
        return max(self.pixels.levels[-1]) > LARGE

    def tile(
        self, level: int, column: int, row: int, margin: int = 0
    ) -> np.ndarray | None:
        """Return a tile, ``(h, w)`` or ``(h, w, c)`` uint8; None if there is none.

        Args:
            level: The level.
            column: Column of the tile.
            row: Row of the tile.
            margin: Pixels of the neighbours around the tile that come with it; 0
                beyond the border of the image.
        """
        if not 0 <= level < len(self.shapes):
            return None
        height, width = self.shapes[level]
        top, left = row * TILE, column * TILE
        if not (0 <= top < height and 0 <= left < width):
            return None
        bottom, right = min(top + TILE, height), min(left + TILE, width)
        y0, x0 = max(top - margin, 0), max(left - margin, 0)
        y1, x1 = min(bottom + margin, height), min(right + margin, width)
        inner = self.read(level, y0, x0, y1 - y0, x1 - x0)
        if not margin:
            return inner
        size = bottom - top + 2 * margin, right - left + 2 * margin
        out = np.zeros((*size, *inner.shape[2:]), np.uint8)
        y0, x0 = y0 - top + margin, x0 - left + margin
        out[y0 : y0 + inner.shape[0], x0 : x0 + inner.shape[1]] = inner
        return out

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region given in px of a level; it must lie inside."""
        wanted = self.shapes[level]
        stored = self.pixels.levels
        # a level whose sides were rounded down counts, too
        place = best_level([(h + 1, w + 1) for h, w in stored], wanted)
        made: np.ndarray | None = None
        if stored[place][0] > MOST * wanted[0] and self.is_large:
            fitting = [m for m in self._smaller() if m.shape[0] >= wanted[0]]
            made = fitting[-1] if fitting else None
        rows, columns = stored[place] if made is None else made.shape[:2]
        y0, y1 = _span(top, height, wanted[0], rows)
        x0, x1 = _span(left, width, wanted[1], columns)
        if made is not None:
            region = made[y0:y1, x0:x1]
        else:
            region = self.pixels.read(place, y0, x0, y1 - y0, x1 - x0)
        return _resized(region, height, width)

    def _smaller(self) -> list[np.ndarray]:
        """Return the levels that are made, largest first."""
        with self._lock:
            while max(last := self._last_made()) > LARGE:
                self._made.append(self._reduced(last))
            return self._made

    def _last_made(self) -> tuple[int, int]:
        if not self._made:
            return self.pixels.levels[-1]
        height, width = self._made[-1].shape[:2]
        return height, width

    def _reduced(self, last: tuple[int, int]) -> np.ndarray:
        """Return the smallest level there is, made smaller block by block."""
        shape = -(-last[0] // STEP), -(-last[1] // STEP)
        out = None
        above = self._made[-1] if self._made else None
        for top, left, height, width in blocks(shape, 256, self.pixels.by_rows):
            y0, y1 = _span(top, height, shape[0], last[0])
            x0, x1 = _span(left, width, shape[1], last[1])
            if above is not None:
                region = above[y0:y1, x0:x1]
            else:
                place = len(self.pixels.levels) - 1
                region = self.pixels.read(place, y0, x0, y1 - y0, x1 - x0)
            if out is None:
                out = np.zeros((*shape, *region.shape[2:]), np.uint8)
            small = _resized(region, height, width)
            out[top : top + height, left : left + width] = small
        assert out is not None
        return out


def _scale(of: int, stored: int) -> float:
    """Return how many stored pixels make up one of a level along a side.

    A power of two exactly, where the sides were only rounded.

    Args:
        of: Pixels of the level.
        stored: Pixels of the stored level.
    """
    scale = stored / of
    whole = round(scale)
    return whole if abs(scale - whole) * of < scale else scale


def _span(start: int, length: int, of: int, stored: int) -> tuple[int, int]:
    """Return where a part of a level begins and ends in a stored one, px.

    Args:
        start: First pixel of the part.
        length: Pixels of the part.
        of: Pixels of the level.
        stored: Pixels of the stored level.
    """
    scale = _scale(of, stored)
    begin = min(round(start * scale), stored - 1)
    end = min(max(round((start + length) * scale), begin + 1), stored)
    return begin, end


def _resized(region: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring a region to a size, averaging.

    Where it ends with the image in the middle of a pixel, its last ones are repeated.
    """
    if region.shape[:2] == (height, width):
        return region
    below, beyond = -region.shape[0] % height, -region.shape[1] % width
    most = max(region.shape[:2]) / max(height, width)  # pixels that a pixel averages
    if 0 < max(below, beyond) < most:
        region = cv2.copyMakeBorder(region, 0, below, 0, beyond, cv2.BORDER_REPLICATE)
    resized: np.ndarray = cv2.resize(
        region, (width, height), interpolation=cv2.INTER_AREA
    )
    return resized
