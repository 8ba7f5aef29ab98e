"""Images and masks at training size; pure functions.

Images are averaged over the area that a pixel covers, and so are masks: a pixel of the
small mask says what most of its area is. Sampling the nearest pixel instead would take
one pixel in 15 (3000 to 768 px), lose thin walls at random, and shift the mask by up to
half a pixel against the image, because cv2 samples at the corner of each area.
"""

import cv2
import numpy as np

from mmseg_ftu.io.raster import IGNORE_LABEL

INTERPOLATION = {
    'image': 'cv2.INTER_AREA down, cv2.INTER_LINEAR up',
    'mask': 'as the image; foreground where at least half of the area is',
}


def target_shape(shape: tuple[int, int], size: int | None) -> tuple[int, int]:
    """Return height and width with ``size`` as the longer side, at least 1 px each.

    Args:
        shape: Height and width, px.
        size: Longer side, px; None keeps the shape.
    """
    if size is None:
        return shape[0], shape[1]
    scale = size / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize ``(H, W)`` or ``(H, W, 3)`` uint8 to the given height and width."""
    if image.shape[:2] == tuple(shape):
        return image
    shrinks = shape[0] * shape[1] < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (shape[1], shape[0]), interpolation=interpolation)


def resize_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize a mask by majority of area.

    Args:
        mask: ``(H, W)`` uint8 of 0, 1 and 255 (ignored).
        shape: Height and width, px.

    Returns:
        Mask of that shape: 255 where at least half of the area is ignored, else 1
        where the foreground covers at least as much as the background.
    """
    if mask.shape == tuple(shape):
        return mask
    foreground = _share(mask == 1, shape)
    return labels_by_majority(foreground, _share(mask == IGNORE_LABEL, shape))


def labels_by_majority(foreground: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Return the labels of pixels by what covers them.

    Args:
        foreground: Share of the foreground in each pixel, 255ths, as int32.
        ignored: The same of what is ignored.

    Returns:
        uint8 labels as `resize_mask` explains them.
    """
    labels: np.ndarray = (2 * foreground + ignored >= 255).astype(np.uint8)
    labels[ignored >= 128] = IGNORE_LABEL
    return labels


def _share(area: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the covered share of each pixel in 255ths, as int32."""
    if not area.any():
        return np.zeros(shape, np.int32)
    share = resize_image(area.view(np.uint8) * np.uint8(255), shape)
    return share.astype(np.int32)


def is_resized_copy(shape: tuple[int, int], original: tuple[int, int]) -> bool:
    """Tell whether an image can be a resized copy of another.

    Args:
        shape: Height and width of the image, px.
        original: Height and width of the other, px.

    Returns:
        Whether the aspect ratios agree, but for the rounding of a side to whole pixels.
    """
    height = original[0] * shape[1] / original[1]
    width = original[1] * shape[0] / original[0]
    return abs(height - shape[0]) <= 1 or abs(width - shape[1]) <= 1
