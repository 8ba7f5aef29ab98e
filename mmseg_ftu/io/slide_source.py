"""Slides of scanners, read through OpenSlide, which the extra ``[slides]`` brings."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from mmseg_ftu.io.pixel_size import GENERIC, slide_pixel_size

BOUNDS = 'openslide.bounds-y', 'openslide.bounds-x'  # OpenSlide's names


def import_openslide(path: Path) -> ModuleType:
    """Import OpenSlide to read a slide, or say how to install it."""
    try:
        import openslide
    except ImportError as error:
        raise ImportError(
            f'{path}: slides and pyramids are read through OpenSlide ({error}): '
            "pip install 'mmseg_ftu[slides]'"
        ) from error
    return openslide


class SlideSource:
    """A slide; a `Source` of `mmseg_ftu.io.sources`. What was not scanned is white.

    Attributes:
        scanned_from: Row and column at which the scanned part begins, px.
        fault: What OpenSlide raises for a damaged slide.

    Raises:
        ValueError: If OpenSlide cannot open it.
        ImportError: Without the extra ``[slides]``.
    """

    is_slide = True
    by_rows = False

    def __init__(self, path: Path) -> None:
        openslide = import_openslide(path)
        self.path, self.fault = path, openslide.OpenSlideError
        try:
            self.slide = openslide.OpenSlide(str(path))
        except self.fault as error:
            raise ValueError(
                f'{path}: OpenSlide can not open it ({error}); fetch or export it again'
            ) from error
        self.levels = [(h, w) for w, h in self.slide.level_dimensions]
        self.shape = self.levels[0]
        self.pixel_size, self.pixel_size_fault = slide_pixel_size(self.slide)
        self.scanned_from = scanned_corner(self.slide.properties)

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region."""
        scale_y = self.shape[0] / self.levels[level][0]
        scale_x = self.shape[1] / self.levels[level][1]
        corner = round(left * scale_x), round(top * scale_y)
        try:
            region = self.slide.read_region(corner, level, (width, height))
        except self.fault as error:
            raise ValueError(
                f'{self.path}: damaged at row {corner[1]}, column {corner[0]} '
                f'({error}); fetch it again'
            ) from error
        rgba = np.asarray(region)
        if rgba[..., 3].min() == 255:
            return np.ascontiguousarray(rgba[..., :3])
        alpha = rgba[..., 3:].astype(np.uint16)
        blended = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        return blended.astype(np.uint8)

    def close(self) -> None:
        """Close the file."""
        self.slide.close()


def is_of_a_scanner(path: Path) -> bool:
    """Tell whether OpenSlide knows the scanner that a pyramidal TIFF comes from.

    Raises:
        ImportError: Without the extra ``[slides]``.
    """
    library = import_openslide(path)
    return library.OpenSlide.detect_format(str(path)) not in (None, GENERIC)


def scanned_corner(properties: Mapping[str, str]) -> tuple[int, int]:
    """Return row and column at which the scanned part of a slide begins, px.

    Some formats, such as MIRAX, have a large empty canvas around it. QuPath shows and
    counts from this corner, OpenSlide from that of the canvas.

    Args:
        properties: Properties of OpenSlide.
    """
    try:
        row, column = (int(properties.get(name, 0)) for name in BOUNDS)
    except ValueError:
        return 0, 0
    return row, column
