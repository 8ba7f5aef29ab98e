"""An image that is ready for the network: whole, or to be cut into tiles."""

from dataclasses import dataclass

import numpy as np

from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.io.resizing import target_shape
from mmseg_ftu.io.sources import ArraySource, Source
from mmseg_ftu.io.working_image import WorkingImage, read_resized
from mmseg_ftu.recipe import StainPainter


@dataclass(frozen=True, eq=False)
class WholeImage:
    """An image that the network sees at once.

    Attributes:
        job: The image and what is known of it.
        shape: Height and width of the result, px.
        pixel_size: Pixel size of the result, um/px; None if unknown.
        image: What the network sees, ``(H, W, 3)`` uint8 RGB.
        source: The original. Where it had to be decoded as a whole, a preview of at
            most 2048 px a side.
        stain_failure: Why its stains could not be normalised, if so.
        scanned_from: Row and column at which the scanned part begins, px.
    """

    job: Job
    shape: tuple[int, int]
    pixel_size: float | None
    image: np.ndarray
    source: Source
    stain_failure: str | None = None
    scanned_from: tuple[int, int] = (0, 0)

    def thumbnail(self, longest: int) -> np.ndarray:
        """Return the original at up to so many px a side, ``(H, W, 3)`` uint8 RGB.

        An original that had to be decoded as a whole is there at up to 2048 px a side.
        """
        return thumbnail_of(self.source, longest)

    def close(self) -> None:
        """Close files."""
        self.source.close()


@dataclass(frozen=True, eq=False)
class TiledImage:
    """An image that the network sees in tiles.

    Attributes:
        job: The image and what is known of it.
        shape: Height and width of the result, px.
        pixel_size: Pixel size of the result, um/px; None if unknown.
        working: The image at the pixel size of training, which tiles are cut from.
        painter: What normalises the stains of a tile; None where it is done already.
        stain_failure: Why its stains could not be normalised, if so.
        scanned_from: Row and column at which the scanned part begins, px.
    """

    job: Job
    shape: tuple[int, int]
    pixel_size: float | None
    working: WorkingImage
    painter: StainPainter | None = None
    stain_failure: str | None = None
    scanned_from: tuple[int, int] = (0, 0)

    def read_tile(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Read a tile before its stains are normalised, ``(height, width, 3)`` uint8.

        Its place and size are in px of ``working``.
        """
        return self.working.read(0, top, left, height, width)

    def paint(self, tile: np.ndarray) -> np.ndarray:
        """Normalise the stains of a tile, if that is left to do."""
        return self.painter.paint(tile) if self.painter else tile

    def thumbnail(self, longest: int) -> np.ndarray:
        """Return the image at up to so many px a side, ``(H, W, 3)`` uint8 RGB."""
        return thumbnail_of(self.working, longest)

    def close(self) -> None:
        """Close files."""
        self.working.close()


LoadedImage = WholeImage | TiledImage


def thumbnail_of(source: Source, longest: int) -> np.ndarray:
    """Return a whole image at up to so many px a side, ``(H, W, 3)`` uint8 RGB."""
    shape = target_shape(source.shape, min(longest, max(source.shape)))
    if isinstance(source, ArraySource) and shape == source.shape:
        return source.image
    return read_resized(source, shape)
