"""What counts as an image here: RGB, uint8, ``(H, W, 3)``."""

from collections.abc import Iterator

import numpy as np


def check_rgb(image: np.ndarray, name: str = 'image') -> np.ndarray:
    """Return the image itself, or say why it cannot be used.

    Args:
        image: Expected ``(H, W, 3)`` uint8, RGB; any strides, read-only or not.
        name: What the message calls it.

    Raises:
        ValueError: If it is not an array, or its type or shape is another; the message
            says what came and what to do.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f'{name} is of type {type(image).__name__}: expected a numpy array '
            '(height, width, 3) of uint8; convert it with np.asarray'
        )
    if image.ndim == 3 and image.shape[2] == 4:
        raise ValueError(
            f'{name} has shape {image.shape}: four channels (RGBA?); drop the last '
            'one, image[..., :3], after pasting the image on white if it is transparent'
        )
    if image.ndim == 3 and image.shape[0] == 3 != image.shape[2]:
        raise ValueError(
            f'{name} has shape {image.shape}: channels come first; expected '
            '(height, width, 3), move them with image.transpose(1, 2, 0)'
        )
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f'{name} has shape {image.shape}: expected (height, width, 3), RGB; '
            'stack a grey image three times'
        )
    if image.dtype != np.uint8:
        raise ValueError(
            f'{name} is of {image.dtype}: expected uint8 with values 0..255; scale '
            'and round it first'
        )
    if not image.size:
        raise ValueError(f'{name} has shape {image.shape}: it holds no pixel')
    return image


def row_blocks(image: np.ndarray, pixels: int) -> Iterator[slice]:
    """Yield slices of rows that hold about ``pixels`` pixels each, top to bottom."""
    height, width = image.shape[:2]
    rows = max(1, pixels // width)
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))
