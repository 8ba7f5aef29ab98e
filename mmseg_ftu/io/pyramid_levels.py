"""The smaller levels of a pyramid, made while the first one is written."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import cv2
import imagecodecs
import numpy as np

TILE = 512  # px a side, a multiple of 16 as TIFF wants it
EMPTY_TILE = bytes(imagecodecs.deflate_encode(bytes(TILE * TILE), 6))
AT_ONCE = 2**20  # px that are averaged at once, 4 MB as float32
HALF = 127.5  # of 255: from here on a pixel of a mask is foreground


class CompressedTiles:
    """Cut strips into rows of compressed tiles; beyond the border they hold 0.

    Args:
        width: Width of the image, px.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._columns = -(-width // TILE)
        self._band = np.zeros((TILE, self._columns * TILE), np.uint8)
        self._filled = 0

    def add(self, strip: np.ndarray) -> Iterator[bytes]:
        """Yield the tiles that a strip, (n, W) uint8, completes."""
        while len(strip):
            piece, strip = strip[: TILE - self._filled], strip[TILE - self._filled :]
            self._band[self._filled : self._filled + len(piece), : self._width] = piece
            self._filled += len(piece)
            if self._filled == TILE:
                yield from self._compressed()
                self._filled = 0

    def finish(self) -> Iterator[bytes]:
        """Yield the tiles of the last row, if it is not full."""
        if self._filled:
            self._band[self._filled :] = 0
            yield from self._compressed()
            self._filled = 0

    def _compressed(self) -> Iterator[bytes]:
        """Yield the tiles of a row; most of a slide's are empty."""
        for tile in np.split(self._band, self._columns, axis=1):
            if tile.any():
                yield bytes(imagecodecs.deflate_encode(tile.tobytes(), 6))
            else:
                yield EMPTY_TILE


class SmallerLevel:
    """A level of half the size of the one above, in a temporary file.

    A pixel is the mean of two by two pixels of the level above; at the end of an odd
    side it is the mean of those that are there.

    Args:
        shape: Height and width, px.
        folder: Folder of the file, which vanishes with the object.
        labels: Whether pixels are made 0 or 255, by majority of the full-size ones.
        below: The next smaller level, which is made of this one.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        folder: Path,
        labels: bool,
        below: 'SmallerLevel | None' = None,
    ) -> None:
        self.shape, self.labels, self.below = shape, labels, below
        self._tiles = CompressedTiles(shape[1])
        self._sizes: list[int] = []
        self._odd = np.zeros((0, 0), np.float32)  # a row that waits for the next
        self._file = tempfile.TemporaryFile(  # noqa: SIM115 lives as long as this
            dir=folder, prefix='.level-'
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, strip: np.ndarray) -> None:
        """Add a strip of the level above, (n, W) uint8 or float32, 0 to 255."""
        step = max(1, AT_ONCE // strip.shape[1])
        for k in range(0, len(strip), step):
            rows = strip[k : k + step].astype(np.float32)
            if len(self._odd):
                rows = np.concatenate([self._odd, rows])
            even = len(rows) - len(rows) % 2
            self._odd = rows[even:]
            if even:
                self._keep(_halved(rows[:even]))

    def finish(self) -> None:
        """Complete this level and those below it; call it once."""
        if len(self._odd):
            self._keep(_halved(np.concatenate([self._odd, self._odd])))
        self._store(self._tiles.finish())
        if self.below is not None:
            self.below.finish()

    def tiles(self) -> Iterator[bytes]:
        """Yield the compressed tiles row by row."""
        self._file.seek(0)
        for size in self._sizes:
            yield self._file.read(size)

    def _keep(self, means: np.ndarray) -> None:
        if self.below is not None:
            self.below.add(means)  # of the full size, not rounded
        if self.labels:
            pixels = (means >= HALF).astype(np.uint8) * np.uint8(255)
        else:
            pixels = np.rint(means).astype(np.uint8)
        self._store(self._tiles.add(pixels))

    def _store(self, tiles: Iterator[bytes]) -> None:
        for tile in tiles:
            self._sizes.append(len(tile))
            self._file.write(tile)


def _halved(rows: np.ndarray) -> np.ndarray:
    """Return the means of two by two pixels of an even number of rows."""
    if rows.shape[1] % 2:
        rows = np.concatenate([rows, rows[:, -1:]], axis=1)
    height, width = rows.shape
    if not rows.any():  # most of a slide
        return np.zeros((height // 2, width // 2), np.float32)
    size = width // 2, height // 2
    halved: np.ndarray = cv2.resize(rows, size, interpolation=cv2.INTER_AREA)
    return halved.reshape(height // 2, width // 2)
