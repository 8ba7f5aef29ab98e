"""Regions of a TIFF file that is too large to be read whole, and its pixel size."""

import threading
from pathlib import Path

import numpy as np
import tifffile

from ..preparation.raster import Raster, RefusedError, opaque_rgb
from ..preparation.tiff import check_segments, kind_of_page, single_image

CENTIMETRE, INCH = 10_000.0, 25_400.0  # um
UNITS = {'CENTIMETER': CENTIMETRE, 'INCH': INCH}
STRIP_PIXELS = 64_000_000  # a file whose strips are larger has to be stored in tiles


class TiffRegions:
    """A plain TIFF, read by its tiles or strips; see `reading.Source`.

    Raises:
        ValueError: If the file is damaged, not 8-bit RGB stored pixel by pixel, or in
            one strip so large that reading a part means reading all.
    """

    is_slide = False

    def __init__(self, path: Path, pixel_size: float | None = None) -> None:
        self.path, self.pixel_size = path, pixel_size
        self.file = tifffile.TiffFile(path)
        self.lock = threading.Lock()
        self.array: np.ndarray | None = None
        try:
            series, axes = single_image(self.file, limit=None)
            check_segments(series, path.stat().st_size)
            self.page = series.pages[0]
            self._check(axes)
        except RefusedError as error:
            self.file.close()
            raise ValueError(f'{path}: {error}') from None
        self.shape = self.page.imagelength, self.page.imagewidth
        self.levels = [self.shape]
        self.by_rows = not self.page.is_tiled

    def _check(self, axes: str) -> None:
        page = self.page
        height, width = self._segment()
        if axes != 'YXS' or page.dtype != np.uint8 or page.planarconfig != 1:
            raise RefusedError(
                f'is too large to be read at once and of axes {axes}, {page.dtype}; '
                'save it as tiled 8-bit RGB'
            )
        if page.is_memmappable:  # not compressed, in one piece
            self.array = tifffile.memmap(self.path, page=page.index, mode='r')
        elif height * width > STRIP_PIXELS:
            raise RefusedError(
                f'is compressed in pieces of {height} x {width} px, too large to be '
                'read in parts; save it as a tiled TIFF'
            )

    def _segment(self) -> tuple[int, int]:
        """Return height and width of the tiles or strips."""
        if self.page.is_tiled:
            return self.page.tilelength, self.page.tilewidth
        return min(self.page.rowsperstrip, self.page.imagelength), self.page.imagewidth

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region, decoding the segments that it touches."""
        if self.array is not None:
            region = self.array[top : top + height, left : left + width]
            return opaque_rgb(Raster(region, kind_of_page(self.page, 'YXS', region)))
        rows, columns = self._segment()
        across = -(-self.shape[1] // columns)
        out = np.zeros((height, width, 3), np.uint8)
        for i in range(top // rows, -(-(top + height) // rows)):
            for j in range(left // columns, -(-(left + width) // columns)):
                y, x = i * rows, j * columns
                # a tile may go on beyond the border, where it means nothing
                inside = self.shape[0] - y, self.shape[1] - x
                segment = self._decode(i * across + j, inside)
                y0, x0 = max(y, top), max(x, left)
                y1 = min(y + segment.shape[0], top + height)
                x1 = min(x + segment.shape[1], left + width)
                out[y0 - top : y1 - top, x0 - left : x1 - left] = segment[
                    y0 - y : y1 - y, x0 - x : x1 - x
                ]
        return out

    def _decode(self, index: int, inside: tuple[int, int]) -> np.ndarray:
        page = self.page
        with self.lock:
            handle = self.file.filehandle
            handle.seek(page.dataoffsets[index])
            data = handle.read(page.databytecounts[index])
        try:
            tile = page.decode(data, index, jpegtables=page.jpegtables)[0]
            pixels = tile.reshape(tile.shape[-3:])[: inside[0], : inside[1]]
            raster = Raster(pixels, kind_of_page(page, 'YXS', pixels))
            return opaque_rgb(raster)
        except RefusedError as error:
            raise ValueError(f'{self.path}: {error}') from None
        except Exception as error:  # decoders raise whatever their C libraries say
            raise ValueError(
                f'{self.path}: tile or strip {index} cannot be decoded '
                f'({type(error).__name__}: {error}); fetch or export it again'
            ) from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def tiff_pixel_size(path: Path) -> float | None:
    """Return the pixel size in um that the resolution tags of a TIFF give, if any."""
    try:
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags
            unit = UNITS.get(getattr(tags.valueof('ResolutionUnit'), 'name', None))
            above, below = tags.valueof('XResolution')
            return unit * below / above
    except Exception:  # no tags, or no TIFF, which the reader says with the reason
        return None
