"""Small pictures of an image, its masks and probabilities, as data URIs.

All layers of an image have one size, so that the page can lay them over one another and
count pixels. The masks are kept as coverage, the share of a thumbnail's pixel that is
foreground, so that outlines run smoothly through the pixels.
"""

import base64
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mmseg_ftu.evaluation.mask_sources import MaskSource
from mmseg_ftu.evaluation.pairing import read_pair
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.sources import ArraySource, open_source
from mmseg_ftu.io.working_image import read_resized

JPEG_QUALITY = 82
COVERED = 254  # a layer's value for pixels wholly foreground; 255 is ignored ones


class Picture(NamedTuple):
    """The layers of an image, as data URIs of one size; '' where there is none.

    Attributes:
        width: Width of all layers, px.
        height: Height of all layers, px.
        tissue: JPEG of the image.
        prediction: PNG, 254 * coverage by the saved mask.
        probability: PNG, 255 * p.
        mask: PNG, 254 * coverage by the ground truth, 255 where ignored.
        fault: Reason why there is no ``tissue``.
    """

    width: int
    height: int
    tissue: str
    prediction: str
    probability: str
    mask: str
    fault: str


def draw_picture(
    name: str, prediction: MaskSource, truth: MaskSource | None, longer_side: int
) -> Picture:
    """Read an image and all that is known of it, and make it small.

    Args:
        name: Id of the image.
        prediction: Source of the mask, and maybe of the probability and the image.
        truth: Ground truth; the image is taken from there if ``prediction`` has none.
        longer_side: Longer side of the pictures, px; smaller images are left as they
            are.

    Raises:
        ValueError: If a mask or a map of probabilities cannot be read.
    """
    if truth and name in truth.ids:
        predicted, mask = read_pair(name, prediction, truth)
    else:
        predicted, mask = prediction.mask(name), None
    height, width = predicted.shape
    scale = min(1, longer_side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    tissue, fault = '', 'its file is not known'
    for path in image_paths(name, prediction, truth):
        try:
            tissue, fault = jpeg_data_uri(read_small(path, size)), ''
            break
        except (ValueError, OSError) as error:
            fault = str(error)
    levels = prediction.probability(name)
    return Picture(
        *size,
        tissue=tissue,
        prediction=png_data_uri(coverage(predicted, size)),
        probability='' if levels is None else png_data_uri(resize(levels, size)),
        mask='' if mask is None else png_data_uri(coverage(mask, size)),
        fault=fault,
    )


def image_paths(
    name: str, prediction: MaskSource, truth: MaskSource | None
) -> list[Path]:
    """Return where the image may be, the original before the prepared one."""
    sources = [prediction, truth] if truth and name in truth.ids else [prediction]
    return [path for source in sources if (path := source.image_path(name))]


def read_small(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read an image at a size, of a pyramid or a large file no more than it takes.

    Args:
        path: The image, of any kind that prediction reads.
        size: Width and height of the result.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        ValueError: If it cannot be read.
        OSError: If it cannot be opened.
    """
    with closing(open_source(path)) as source:
        if isinstance(source, ArraySource):
            return resize(source.image, size)
        return read_resized(source, size[::-1])


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring an array to (width, height), averaging where it shrinks."""
    shrinks = pixels.shape[1] > size[0] or pixels.shape[0] > size[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, size, interpolation=method)


def coverage(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return 254 * the share of foreground in each pixel, 255 where ignored.

    Args:
        mask: (H, W) of 0, 1 and 255.
        size: Width and height of the result; the share is of the pixels not ignored.
    """
    seen = resize(np.where(mask == IGNORE_LABEL, 0, COVERED).astype(np.uint8), size)
    unit = resize(np.where(mask == 1, COVERED, 0).astype(np.uint8), size)
    share = unit / np.maximum(seen, 1)
    levels: np.ndarray = np.round(COVERED * np.clip(share, 0, 1)).astype(np.uint8)
    levels[seen < COVERED / 2] = IGNORE_LABEL
    return levels


def jpeg_data_uri(rgb: np.ndarray) -> str:
    """Return a data URI of an RGB image."""
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    options += [cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    _, data = cv2.imencode('.jpg', cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode('ascii')


def png_data_uri(levels: np.ndarray) -> str:
    """Return a data URI of an 8-bit layer."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    _, data = cv2.imencode('.png', levels, options)
    return 'data:image/png;base64,' + base64.b64encode(data.tobytes()).decode('ascii')
