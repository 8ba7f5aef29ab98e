"""TIFF files of one channel and any size, written a row of tiles at a time."""

from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from mmseg_ftu.io.atomic_files import replacing

TILE = 512  # px a side, a multiple of 16 as TIFF wants it
BIG_TIFF_PIXELS = 2**31  # files above 4 GB need it; half of that to be safe
EMPTY_TILE = bytes(imagecodecs.deflate_encode(bytes(TILE * TILE), 6))


def write_tiled_tiff(
    path: Path,
    strips: Iterator[np.ndarray],
    shape: tuple[int, int],
    pixel_size: float | None,
    big_from: int = BIG_TIFF_PIXELS,
) -> None:
    """Write 8-bit strips as a tiled, deflated TIFF of one channel.

    Args:
        path: The file; an older one is replaced in one step.
        strips: Strips of the image from top to bottom, each (n, W) uint8; they make up
            the shape.
        shape: Height and width, px.
        pixel_size: Pixel size, um/px; becomes the resolution, None leaves it out.
        big_from: A larger image, in px, is written as BigTIFF.
    """
    per_cm = None if pixel_size is None else 1e4 / pixel_size
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(strips, shape[1]),
            shape=shape,
            dtype=np.uint8,
            bigtiff=shape[0] * shape[1] > big_from,
            photometric='minisblack',
            tile=(TILE, TILE),
            compression='adobe_deflate',
            metadata=None,
            software='mmseg_ftu',
            resolution=None if per_cm is None else (per_cm, per_cm),
            resolutionunit=None if per_cm is None else 'CENTIMETER',
        )


def _tiles(strips: Iterator[np.ndarray], width: int) -> Iterator[bytes]:
    """Yield the tiles row by row, compressed; beyond the border they hold 0."""
    columns = -(-width // TILE)
    band = np.zeros((TILE, columns * TILE), np.uint8)
    filled = 0
    for strip in strips:
        while len(strip):
            piece, strip = strip[: TILE - filled], strip[TILE - filled :]
            band[filled : filled + len(piece), :width] = piece
            filled += len(piece)
            if filled == TILE:
                yield from _compressed(band, columns)
                filled = 0
    if filled:
        band[filled:] = 0
        yield from _compressed(band, columns)


def _compressed(band: np.ndarray, columns: int) -> Iterator[bytes]:
    """Yield the tiles of one row of tiles; most of a slide's are empty."""
    for tile in np.split(band, columns, axis=1):
        if tile.any():
            yield bytes(imagecodecs.deflate_encode(tile.tobytes(), 6))
        else:
            yield EMPTY_TILE
