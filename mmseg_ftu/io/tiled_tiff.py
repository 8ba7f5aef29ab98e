"""TIFF files of one channel and any size, written a row of tiles at a time.

Large ones are pyramids and OME-TIFF: the levels are SubIFDs of the full-size page, as
OME-TIFF wants them (its specification 6, "Sub-resolutions"), and also pages of the
file's chain, which is where OpenSlide looks for them.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from mmseg_ftu.io.atomic_files import replacing
from mmseg_ftu.io.pyramid_levels import TILE, CompressedTiles, SmallerLevel

BIG_TIFF_PIXELS = 2**31  # files above 4 GB need it; half of that to be safe
PYRAMID_FROM = 4096  # px of the longer side; viewers load smaller images as a whole
SMALLEST = 1024  # px; a level of up to that has none below it


def write_tiled_tiff(
    path: Path,
    strips: Iterator[np.ndarray],
    shape: tuple[int, int],
    pixel_size: float | None,
    *,
    labels: bool = False,
    big_from: int = BIG_TIFF_PIXELS,
    pyramid_from: int = PYRAMID_FROM,
) -> None:
    """Write 8-bit strips as a tiled, deflated OME-TIFF of one channel.

    A level is half as large as the one above it. Those below the first wait in a
    temporary file beside the path, a third of the size of the first, so memory holds a
    row of tiles of each level.

    Args:
        path: The file; an older one is replaced in one step.
        strips: Strips of the image from top to bottom, each (n, W) uint8; they make up
            the shape.
        shape: Height and width, px.
        pixel_size: Pixel size, um/px; becomes the resolution and ``PhysicalSizeX`` and
            ``Y``, None leaves them out.
        labels: Whether the strips are a mask of 0 and 255. A pixel of a smaller level
            is then 255 where at least half of its area is, and else the mean.
        big_from: A larger image, in px, is written as BigTIFF.
        pyramid_from: An image with a longer side, in px, gets smaller levels.
    """
    shapes = level_shapes(shape, pyramid_from)
    with replacing(path) as temporary:
        with ExitStack() as stack:
            smaller: list[SmallerLevel] = []
            for of_level in shapes[:0:-1]:
                below = smaller[0] if smaller else None
                level = SmallerLevel(of_level, path.parent, labels, below)
                smaller.insert(0, stack.enter_context(level))
            big = prod(shape) > big_from
            writer = stack.enter_context(tifffile.TiffWriter(temporary, bigtiff=big))
            writer.write(
                _first_level(strips, shape, smaller),
                subifds=len(smaller),
                description=_ome_xml(shape, pixel_size),
                **_options(shape, pixel_size),
            )
            if smaller:  # not by the strips: their end is not always asked for
                smaller[0].finish()
            for number, level in enumerate(smaller, start=1):
                size = None if pixel_size is None else pixel_size * 2**number
                options = _options(level.shape, size)
                writer.write(level.tiles(), subfiletype=1, **options)
        if smaller:
            _chain_levels(temporary)


def level_shapes(
    shape: tuple[int, int], pyramid_from: int = PYRAMID_FROM
) -> list[tuple[int, int]]:
    """Return height and width of each level, largest first, px."""
    shapes = [shape]
    if max(shape) > pyramid_from:
        while max(shapes[-1]) > min(SMALLEST, pyramid_from):
            height, width = shapes[-1]
            shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def _first_level(
    strips: Iterator[np.ndarray],
    shape: tuple[int, int],
    smaller: Sequence[SmallerLevel],
) -> Iterator[bytes]:
    """Yield the tiles of the full size; the smaller levels are made meanwhile."""
    tiles = CompressedTiles(shape[1])
    for strip in strips:
        if smaller:
            smaller[0].add(strip)
        yield from tiles.add(strip)
    yield from tiles.finish()


def _options(shape: tuple[int, int], pixel_size: float | None) -> dict[str, Any]:
    per_cm = None if pixel_size is None else 1e4 / pixel_size
    return dict(
        shape=shape,
        dtype=np.uint8,
        photometric='minisblack',
        tile=(TILE, TILE),
        compression='adobe_deflate',
        metadata=None,
        software='mmseg_ftu',
        resolution=None if per_cm is None else (per_cm, per_cm),
        resolutionunit=None if per_cm is None else 'CENTIMETER',
    )


def _ome_xml(shape: tuple[int, int], pixel_size: float | None) -> bytes:
    """Return the OME-XML of an image; equal input gives equal text."""
    about: dict[str, Any] = {}
    for axis in 'XY' if pixel_size is not None else '':
        about |= {f'PhysicalSize{axis}': pixel_size, f'PhysicalSize{axis}Unit': 'µm'}
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f'mmseg_ftu {shape} {pixel_size}'))
    xml = tifffile.OmeXml(UUID=name, Creator='mmseg_ftu')
    xml.addimage(np.uint8, shape, (1, 1, 1, *shape, 1), axes='YX', **about)
    return xml.tostring(declaration=True).encode()


def _chain_levels(path: Path) -> None:
    """Make each level the next page of the one above it."""
    with tifffile.TiffFile(path, mode='r+') as file:
        page, layout, handle = file.pages.first, file.tiff, file.filehandle
        offsets = [page.offset, *(page.subifds or ())]
        for place, following in pairwise(offsets):
            handle.seek(place)
            count = int.from_bytes(handle.read(layout.tagnosize), 'little')
            handle.seek(place + layout.tagnosize + count * layout.tagsize)
            handle.write(following.to_bytes(layout.offsetsize, 'little'))
