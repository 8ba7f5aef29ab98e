"""Masks, probabilities, overlays and submissions as files, for images of any size.

Large images come strip by strip and leave tile by tile. Each
file appears in one step, when it is complete.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from mmseg_ftu.io.atomic_files import write_bytes, write_png
from mmseg_ftu.io.tiled_tiff import write_tiled_tiff
from mmseg_ftu.masks.draw_outlines import PREDICTION_COLOUR, draw_outlines
from mmseg_ftu.masks.run_mask import RunMask, checked_strips

MAX_PNG_SIDE = 8192  # px; a PNG is held in memory as a whole, here and by its readers
MAX_OVERLAY_SIDE = 2048  # px


def mask_suffix(shape: tuple[int, int]) -> str:
    """Return ``'.png'``, or ``'.tif'`` for a mask above 8192 px a side."""
    return '.png' if max(shape) <= MAX_PNG_SIDE else '.tif'


def write_mask(
    path: Path,
    strips: Iterable[np.ndarray],
    shape: tuple[int, int],
    pixel_size: float | None = None,
) -> None:
    """Write a mask, 0 background and 255 foreground.

    Args:
        path: The file, ``.png`` (up to 8192 px a side) or ``.tif`` (any size, written
            tile by tile).
        strips: Strips of the image from top to bottom, each (n, W), bool or uint8; not
            0 is foreground. ``RunMask.strips()`` gives them.
        shape: Height and width of the whole mask, px.
        pixel_size: Pixel size, um/px; becomes the resolution of a TIFF, a PNG leaves it
            out.

    Raises:
        ValueError: If the suffix is another, a PNG would be too large, or the strips
            do not make up the shape.
    """
    suffix = Path(path).suffix.lower()
    checked = checked_strips(strips, shape)
    if suffix == '.tif':
        visible = (_visible(strip) for _, strip in checked)
        write_tiled_tiff(Path(path), visible, shape, pixel_size, labels=True)
        return
    if suffix != '.png':
        raise ValueError(f'{path}: a mask is written as .png or .tif')
    if max(shape) > MAX_PNG_SIDE:
        raise ValueError(
            f'{path}: a mask of {shape[0]} x {shape[1]} px is above the '
            f'{MAX_PNG_SIDE} px of a PNG; write a .tif'
        )
    pixels = np.empty(shape, np.uint8)
    for y, strip in checked:
        pixels[y : y + len(strip)] = _visible(strip)
    write_png(Path(path), pixels)


def write_probability(
    path: Path,
    strips: Iterable[np.ndarray],
    shape: tuple[int, int],
    pixel_size: float | None = None,
) -> None:
    """Write a probability map as 8-bit TIFF, 255 is probability 1.

    Args:
        path: The file, ``.tif``.
        strips: Strips of the image from top to bottom, each (n, W), float (0..1) or
            uint8 (0..255). ``ProbabilityMap.strips()`` gives them at the original size.
        shape: Height and width of the whole map, px.
        pixel_size: Pixel size of this map, um/px; becomes the resolution of the TIFF.

    Raises:
        ValueError: If the suffix is another or the strips do not make up the shape.
    """
    if Path(path).suffix.lower() != '.tif':
        raise ValueError(f'{path}: a probability map is written as .tif')
    levels = (_levels(strip) for _, strip in checked_strips(strips, shape))
    write_tiled_tiff(Path(path), levels, shape, pixel_size)


def write_overlay(
    path: Path,
    image: np.ndarray,
    mask: RunMask,
    colour: tuple[int, int, int] = PREDICTION_COLOUR,
) -> None:
    """Write a JPEG of the image with the mask's outlines.

    Args:
        path: The file, ``.jpg``.
        image: (h, w, 3) RGB uint8 of any size, such as a slide's thumbnail; shrunk to
            2048 px where it is larger.
        mask: Mask of the whole image, at its own size.
        colour: Colour of the outlines, RGB.

    Raises:
        ValueError: If the suffix or the image's shape is another.
    """
    if Path(path).suffix.lower() not in ('.jpg', '.jpeg'):
        raise ValueError(f'{path}: an overlay is written as .jpg')
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f'{path}: the image has shape {image.shape} and dtype {image.dtype}, '
            'expected (h, w, 3) uint8'
        )
    picture = _limited(image)
    picture = draw_outlines(picture, shrink_mask(mask, picture.shape[:2]), colour)
    picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    write_bytes(Path(path), encoded.tobytes())


def shrink_mask(mask: RunMask, shape: tuple[int, int]) -> np.ndarray:
    """Return a mask at another size, (h, w) uint8 of 0 and 1.

    A pixel is foreground if any of its area is, so that no object is lost.
    """
    height, width = shape
    y0 = mask.rows * np.int64(height) // mask.shape[0]
    y1 = -(-(mask.rows + 1) * np.int64(height) // mask.shape[0])
    x0 = mask.starts * np.int64(width) // mask.shape[1]
    x1 = -(-mask.stops * np.int64(width) // mask.shape[1])
    boxes = np.unique(np.stack([y0, y1, x0, x1], axis=1), axis=0)
    small = np.zeros(shape, np.uint8)
    for top, bottom, left, right in boxes.tolist():
        small[top:bottom, left:right] = 1
    return small


def write_submission(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write the competition's ``submission.csv``.

    Args:
        path: The file.
        rows: Image id and RLE (``''`` for an empty mask) of each image, in the order
            of ``test.csv``.

    Raises:
        ValueError: If an id comes twice.
    """
    table: dict[str, str] = {}
    for image_id, rle in rows:
        if image_id in table:
            raise ValueError(f'{path}: the id {image_id!r} comes twice; name each once')
        table[image_id] = rle
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('id', 'rle'))
    writer.writerows(table.items())
    content = text.getvalue().encode(errors='backslashreplace')  # names are bytes
    write_bytes(Path(path), content)


def _visible(strip: np.ndarray) -> np.ndarray:
    visible: np.ndarray = (strip != 0).view(np.uint8) * np.uint8(255)
    return visible


def _levels(strip: np.ndarray) -> np.ndarray:
    if strip.dtype == np.uint8:
        return strip
    return cv2.convertScaleAbs(strip, alpha=255)


def _limited(image: np.ndarray) -> np.ndarray:
    """Return the image at 2048 px or less a side."""
    scale = MAX_OVERLAY_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
