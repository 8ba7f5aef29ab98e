"""Open an image of any kind: small files whole, large ones and slides region by region.

Slides go through OpenSlide, pyramids and large TIFFs through tifffile's segments,
everything else through the exact reader that preparation uses, so that a file is read
in the same way for training and for prediction, or refused with its name.
"""

from collections.abc import Callable
from contextlib import ExitStack
from math import prod
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import tifffile

from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.pixel_budget import pixels_of
from mmseg_ftu.io.pixel_size import UNKNOWN, PixelSize, tiff_pixel_size
from mmseg_ftu.io.raster import RefusedError, naming, opaque_rgb, to_8_bit
from mmseg_ftu.io.slide_source import SlideSource, is_of_a_scanner
from mmseg_ftu.io.tiff import open_tiff, read_tiff, single_image, size_of_series
from mmseg_ftu.io.tiff_regions import STRIP_PIXELS, TiffRegions

SLIDE_SUFFIXES = (
    *('.svs', '.ndpi', '.vms', '.vmu', '.scn', '.mrxs', '.svslide', '.bif'),
    *('.dcm', '.czi'),
)
TIFF_SUFFIXES = ('.tif', '.tiff')


class Source(Protocol):
    """An open image.

    Attributes:
        shape: Height and width of level 0, px.
        pixel_size: Pixel size of level 0, um/px; None where the file does not say.
        pixel_size_fault: Why what the file says is not used, if so.
        levels: Heights and widths of the levels, largest first.
        is_slide: Whether it is a slide: a pyramid, or of a scanner's format.
        by_rows: Whether it is stored in strips, so that whole rows are read best.
    """

    shape: tuple[int, int]
    pixel_size: float | None
    pixel_size_fault: str | None
    levels: list[tuple[int, int]]
    is_slide: bool
    by_rows: bool

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region given in px of its level; RGB uint8 ``(height, width, 3)``."""

    def close(self) -> None:
        """Close the file."""


class ArraySource:
    """An image in memory; see `Source`."""

    is_slide = False
    by_rows = False

    def __init__(self, image: np.ndarray, size: PixelSize = UNKNOWN) -> None:
        self.image = image
        self.pixel_size, self.pixel_size_fault = size
        self.shape = image.shape[:2]
        self.levels = [self.shape]

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Return a view of the region."""
        return self.image[top : top + height, left : left + width]

    def close(self) -> None:
        """Do nothing."""


def scanned_from(source: Source) -> tuple[int, int]:
    """Return row and column at which the scanned part of an image begins, px."""
    return source.scanned_from if isinstance(source, SlideSource) else (0, 0)


class Plan(NamedTuple):
    """How a file is opened.

    Attributes:
        pixels: Decoded at once by opening it; 0 where it is read region by region.
        open: Opens it, once; raises ValueError or OSError as `open_source` does.
    """

    pixels: int
    open: Callable[[], Source]


class Limits(NamedTuple):
    """Limits up to which TIFFs are decoded as a whole.

    Attributes:
        whole_pixels: A larger image is read region by region.
        strip_pixels: Most pixels of a compressed tile or strip of such an image.
    """

    whole_pixels: int = 36_000_000  # a 6000 x 6000 image takes 108 MB
    strip_pixels: int = STRIP_PIXELS


LIMITS = Limits()


def open_source(path: Path, limits: Limits = LIMITS) -> Source:
    """Open an image or a slide.

    Args:
        path: TIFF, PNG, JPEG or BMP, or a format of OpenSlide.
        limits: Limits up to which TIFFs are decoded as a whole.

    Raises:
        ValueError: If the file is damaged, or not an upright, opaque RGB image.
        OSError: If it cannot be opened.
        ImportError: If it is a slide, and the extra ``[slides]`` is not installed.
    """
    return plan_source(path, limits).open()


def plan_source(path: Path, limits: Limits = LIMITS) -> Plan:
    """Look at the header of an image and say how it is opened.

    Args:
        path: An image or a slide, as for `open_source`.
        limits: Limits up to which TIFFs are decoded as a whole.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If it is a pyramid, and the extra ``[slides]`` is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    suffix = path.suffix.lower()
    if suffix in SLIDE_SUFFIXES and path.stat().st_size:
        return Plan(0, lambda: SlideSource(path))
    if suffix in TIFF_SUFFIXES and path.stat().st_size:
        return _plan_tiff(path, limits)
    return Plan(pixels_of(path), lambda: ArraySource(read_image(path)))


def _plan_tiff(path: Path, limits: Limits) -> Plan:
    """Look at a TIFF; it stays open until the plan has been carried out."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_tiff(path))
            is_pyramid = bool(file.series) and len(file.series[0].levels) > 1
            if is_pyramid and is_of_a_scanner(path):
                return Plan(0, lambda: SlideSource(path))
            series, axes = single_image(file, limit=None)
        except ImportError:  # without OpenSlide nobody knows whose pyramid it is
            raise
        except Exception:  # the exact reader names what is wrong
            return Plan(0, lambda: ArraySource(read_image(path)))
        stack.pop_all()
    pixels = prod(size_of_series(series))
    decoded = pixels if pixels <= limits.whole_pixels else 0
    return Plan(decoded, lambda: _read_tiff(path, file, series, axes, limits))


def _read_tiff(
    path: Path,
    file: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    axes: str,
    limits: Limits,
) -> Source:
    """Read a small TIFF as a whole; a large one, and a pyramid, stay open."""
    size = tiff_pixel_size(file)
    is_small = prod(size_of_series(series)) <= limits.whole_pixels
    with ExitStack() as stack, naming(path):
        stack.enter_context(file)
        if not is_small or len(series.levels) > 1:
            try:
                regions = TiffRegions(path, file, series, size, limits.strip_pixels)
                stack.pop_all()
                return regions
            except RefusedError:  # e.g. of 16 bits, which can be read whole
                if not is_small:
                    raise
        raster = read_tiff(file, series, axes)
        return ArraySource(to_8_bit(opaque_rgb(raster)), size)
