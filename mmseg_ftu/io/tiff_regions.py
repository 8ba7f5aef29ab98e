"""Regions of a TIFF file that is too large to be read whole, or a pyramid.

The levels of a pyramid are pages of their own or SubIFDs of the full-size page, as in
OME-TIFF. The channels of a pixel are stored together, or each in a plane or page.
"""

import threading
from collections.abc import Collection, Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile

from mmseg_ftu.io.pixel_size import UNKNOWN, PixelSize
from mmseg_ftu.io.raster import Raster, RefusedError, opaque_rgb
from mmseg_ftu.io.segment_cache import SegmentCache
from mmseg_ftu.io.tiff import (
    axes_of,
    check_segments,
    is_cut_off,
    kind_of_page,
    pages_of,
    size_of_series,
)

STRIP_PIXELS = 64_000_000  # a file whose strips are larger has to be stored in tiles
COLOURS = ('RGB', 'RGBA')  # kinds of pixels, as `kind_of_page` names them


class Plane(NamedTuple):
    """Where some channels of a level are stored.

    Attributes:
        page: The page, or a frame, which is a page that knows only its data.
        first: Index of the first tile or strip of these channels.
        channels: Channels of a pixel that are stored there.
    """

    page: tifffile.TiffPage | tifffile.TiffFrame
    first: int
    channels: slice


class Level:
    """One level of a pyramid, or the only one.

    Args:
        series: The level.
        strip_pixels: The most pixels of a compressed tile or strip.
        kinds: Kinds of pixels that are accepted.

    Raises:
        RefusedError: If it is not of 8 bits and such a kind, or cannot be read in
            parts.
    """

    def __init__(
        self,
        series: tifffile.TiffPageSeries,
        strip_pixels: int,
        kinds: Collection[str] = COLOURS,
    ) -> None:
        page = self.page = series.keyframe
        self.shape = page.imagelength, page.imagewidth
        self.axes = axes_of(series)
        self.segment = min(page.rowsperstrip, page.imagelength), page.imagewidth
        if page.is_tiled:
            self.segment = page.tilelength, page.tilewidth
        # of strips that are not compressed, single rows can be read
        self.has_rows = page.compression == 1 and not page.is_tiled
        self.has_rows &= page.fillorder == 1 and page.predictor == 1
        self.has_rows &= page.bitspersample == 8  # others are packed
        if self.has_rows and len(page.dataoffsets) == 1 and self.axes != 'SYX':
            self.segment = self.shape  # in one piece, whatever it says
        elif len(page.dataoffsets) < prod(page.chunked):
            raise RefusedError('lacks strips or tiles; export it again')
        self.planes = self._planes(series)
        self.kind = self._kind(strip_pixels, kinds)

    def _planes(self, series: tifffile.TiffPageSeries) -> list[Plane]:
        pages = pages_of(series)
        if self.axes == 'CYX':
            return [Plane(p, 0, slice(i, i + 1)) for i, p in enumerate(pages)]
        if self.axes == 'SYX':
            count = len(self.page.dataoffsets) // self.page.samplesperpixel
            channels = range(self.page.samplesperpixel)
            return [Plane(pages[0], i * count, slice(i, i + 1)) for i in channels]
        return [Plane(pages[0], 0, slice(None))]

    def _kind(self, strip_pixels: int, kinds: Collection[str]) -> str:
        page = self.page
        height, width = self.segment
        self.channels = page.samplesperpixel
        if self.axes == 'CYX':
            self.channels = len(self.planes)
        one = (1, 1) if self.axes == 'YX' else (1, 1, self.channels)
        kind = kind_of_page(page, self.axes, np.empty(one, np.uint8))
        if kind not in kinds or page.dtype != np.uint8:
            wanted = 'RGB' if 'RGB' in kinds else 'pixels of one channel'
            raise RefusedError(
                f'is too large to be read at once and of axes {self.axes}, '
                f'{page.dtype}; save it as tiled 8-bit {wanted}'
            )
        if not self.has_rows and height * width > strip_pixels:
            raise RefusedError(
                f'is compressed in pieces of {height} x {width} px, too large to be '
                'read in parts; save it as a tiled TIFF'
            )
        return kind

    def touched(
        self, top: int, left: int, height: int, width: int
    ) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield index, top, left, height and width of the segments of a region.

        Strips whose rows can be read singly give only the rows of the region.
        """
        rows, columns = self.segment
        across = -(-self.shape[1] // columns)
        for i in range(top // rows, -(-(top + height) // rows)):
            for j in range(left // columns, -(-(left + width) // columns)):
                y, end = i * rows, min((i + 1) * rows, self.shape[0])
                if self.has_rows:
                    y, end = max(y, top), min(end, top + height)
                x = j * columns
                yield i * across + j, y, x, end - y, min(columns, self.shape[1] - x)


class TiffRegions:
    """A TIFF, read by its tiles or strips; see `sources.Source`.

    Attributes:
        kinds: Kinds of pixels that are read.

    Args:
        path: The file, for messages.
        file: The open file; `close` closes it.
        series: The image, as `single_image` returns it.
        size: Pixel size of the full-size image.
        strip_pixels: The most pixels of a compressed tile or strip.

    Raises:
        RefusedError: If the file is truncated, not 8-bit RGB, or in one compressed
            strip so large that reading a part means reading all. It stays open.
    """

    kinds: Collection[str] = COLOURS

    def __init__(
        self,
        path: Path,
        file: tifffile.TiffFile,
        series: tifffile.TiffPageSeries,
        size: PixelSize = UNKNOWN,
        strip_pixels: int = STRIP_PIXELS,
    ) -> None:
        self.path, self.file = path, file
        self.pixel_size, self.pixel_size_fault = size
        self.lock = threading.Lock()
        self._cache = SegmentCache()
        check_segments(series, file.filehandle.size)
        first = Level(series, strip_pixels, self.kinds)
        further = usable_levels(series, file.filehandle.size, strip_pixels, self.kinds)
        self._levels = [first, *further]
        self.shape, self.levels = first.shape, [x.shape for x in self._levels]
        self.by_rows = not first.page.is_tiled
        self.is_slide = bool(further)

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region, decoding the tiles or strips that it touches."""
        out = self.stored(level, top, left, height, width)
        try:
            return opaque_rgb(Raster(out, self._levels[level].kind))
        except RefusedError as error:
            raise ValueError(f'{self.path}: {error}') from None

    def stored(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read the channels of a region as they are stored, ``(h, w, c)`` uint8."""
        of_level = self._levels[level]
        out = np.zeros((height, width, of_level.channels), np.uint8)
        for index, y, x, rows, columns in of_level.touched(top, left, height, width):
            y0, y1 = max(y, top), min(y + rows, top + height)
            x0, x1 = max(x, left), min(x + columns, left + width)
            # blocks go on to the right, then down
            is_used_up = y1 == y + rows and x1 == x + columns
            for plane in of_level.planes:
                key = level, plane.channels.start, index
                pixels = self._cache.get(key)
                if pixels is None:
                    pixels = self._segment(of_level, plane, index, y, rows)
                if is_used_up:
                    self._cache.drop(key)
                elif not of_level.has_rows:
                    self._cache.keep(key, pixels)
                out[y0 - top : y1 - top, x0 - left : x1 - left, plane.channels] = (
                    pixels[y0 - y : y1 - y, x0 - x : x1 - x]
                )
        return out

    def _segment(
        self, level: Level, plane: Plane, index: int, top: int, height: int
    ) -> np.ndarray:
        """Read a tile or a strip, or its rows from ``top`` on, ``(h, w, c)``."""
        page, key = plane.page, level.page
        start, count = page.dataoffsets[plane.first + index], 0
        if level.has_rows:
            channels = 1 if len(level.planes) > 1 else level.channels
            shape = height, level.shape[1], channels
            start += (top % level.segment[0]) * shape[1] * channels
            count = height * shape[1] * channels
        else:
            count = page.databytecounts[plane.first + index]
        with self.lock:
            self.file.filehandle.seek(start)
            data = self.file.filehandle.read(count)
        try:
            if level.has_rows:
                return np.frombuffer(data, np.uint8).reshape(shape)
            if is_cut_off(key, data):
                raise ValueError('its JPEG data are cut off')
            tables = page.jpegtables or key.jpegtables
            tile = key.decode(data, plane.first + index, jpegtables=tables)[0]
            if tile is None:
                raise ValueError('it holds nothing')
            return tile.reshape(tile.shape[-3:])
        except Exception as error:  # decoders raise whatever their C libraries say
            raise ValueError(
                f'{self.path}: tile or strip {plane.first + index} cannot be decoded '
                f'({type(error).__name__}: {error}); fetch or export it again'
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def usable_levels(
    series: tifffile.TiffPageSeries,
    file_size: int,
    strip_pixels: int,
    kinds: Collection[str] = COLOURS,
) -> list[Level]:
    """Return the smaller levels that hold the same image as the first.

    Other levels are left out. Reading then takes a larger one, which is slower and
    gives the same.
    """
    levels, last = [], size_of_series(series)
    height, width = last
    for other in series.levels[1:]:
        h, w = size_of_series(other)
        is_alike = abs(h - height * w / width) <= 1 or abs(w - width * h / height) <= 1
        if not (is_alike and h < last[0] and w < last[1]):
            continue
        if axes_of(other) != axes_of(series):
            continue
        try:
            check_segments(other, file_size)
            levels.append(Level(other, strip_pixels, kinds))
        except RefusedError:
            continue
        last = h, w
    return levels
