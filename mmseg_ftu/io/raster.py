"""What decoded pixels mean: colours, labels, or a reason to refuse them.

The readers return a ``Raster``; here it becomes an RGB image or a label map. The rules
are listed in docs/howto/image_files.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

# Twice Pillow's warning limit: where Pillow itself raises. 13377 x 13377 px, 537 MB.
MAX_PIXELS = 178_956_970
BAND = 256  # rows that are narrowed at once
IGNORE_LABEL = 255  # mmseg's default ignore_index


class RefusedError(ValueError):
    """A file is sound but not what is asked for; the reader adds the file's name."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn refusals, and whatever decoders raise, into a ``ValueError`` with the name.

    Args:
        path: The file that is read inside the ``with`` block.
    """
    try:
        yield
    except RefusedError as error:
        raise ValueError(f'{path}: {error}') from None
    except (FileNotFoundError, PermissionError, IsADirectoryError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever their C libraries say
        raise ValueError(
            f'{path}: cannot be decoded, it is damaged or truncated '
            f'({type(error).__name__}: {error}); fetch or export it again'
        ) from error


class Raster(NamedTuple):
    """Decoded pixels.

    Attributes:
        pixels: ``(H, W)`` or ``(H, W, C)``, as stored.
        kind: ``'RGB'``, ``'RGBA'``, ``'grey'``, ``'palette'`` (indices), or the name
            of something that is none of these.
        lossy: Whether the compression changed values.
    """

    pixels: np.ndarray
    kind: str
    lossy: bool = False


def opaque_rgb(raster: Raster) -> np.ndarray:
    """Return the three colour channels.

    Returns:
        ``(H, W, 3)``, contiguous, of the stored type.

    Raises:
        RefusedError: If there are others, or transparent pixels.
    """
    pixels = raster.pixels
    if raster.kind == 'RGBA':
        opaque = np.iinfo(pixels.dtype).max if pixels.dtype.kind == 'u' else 1
        if pixels[..., 3].min() < opaque:
            raise RefusedError(
                'is partly transparent (RGBA); flatten it onto a white background'
            )
        pixels = pixels[..., :3]
    elif raster.kind != 'RGB':
        raise RefusedError(
            f'is a {raster.kind} image; a colour (RGB) image is expected'
            + (' (is it a mask?)' if raster.kind in ('grey', 'palette') else '')
        )
    return np.ascontiguousarray(pixels)


def to_8_bit(pixels: np.ndarray) -> np.ndarray:
    """Narrow 16 bits to 8 where there is but one way to read the values.

    Up to 255: 8-bit values in a wide type. From 32768 on: the full 16-bit range, as
    stained tissue always has bright pixels; divided by 257. Between: 10 to 15 bits of
    a camera, whose white nobody has written down, or an image too dark to be tissue.

    Raises:
        RefusedError: For values between, and for other types.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise RefusedError(f'holds {pixels.dtype} numbers; save it with 8 bits')
    largest = int(pixels.max())
    if largest <= 255:
        return pixels.astype(np.uint8)
    if largest < 32768:
        raise RefusedError(
            f'is a 16-bit image with values up to {largest}: neither 8-bit values '
            '(<= 255) nor the full range (>= 32768); save it with 8 bits'
        )
    narrow = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), BAND):  # 32 bits of all would take 6 times as much
        band = pixels[top : top + BAND].astype(np.uint32)
        narrow[top : top + BAND] = (band + 128) // 257
    return narrow


def labels_of(raster: Raster) -> np.ndarray:
    """Return the labels of a mask.

    Returns:
        ``(H, W)`` of the stored type.

    Raises:
        RefusedError: If there are colours or fractions, or the labels may be smeared.
    """
    pixels = raster.pixels
    if raster.lossy:
        raise RefusedError('is a JPEG, which smears labels; export the mask as PNG')
    if raster.kind == 'RGB' and (pixels == pixels[..., :1]).all():
        return pixels[..., 0]
    if raster.kind not in ('grey', 'palette') or pixels.dtype.kind not in 'bui':
        raise RefusedError(
            f'is a {raster.kind} image of {pixels.dtype}; a mask has one channel of '
            'whole-number labels'
        )
    return pixels


def refuse_ambiguous_255(labels: np.ndarray, prefix: str = '') -> None:
    """Raise where 255 stands beside other labels than 0.

    Args:
        labels: Labels of a mask.
        prefix: How the options that say what labels mean begin, after ``--``.

    Raises:
        RefusedError: If so: 255 may then mean "ignore", or stem from smoothing.
    """
    if (labels == IGNORE_LABEL).any():
        others = np.unique(labels[(labels != 0) & (labels != IGNORE_LABEL)])
        if others.size:
            raise RefusedError(
                f'holds the label 255 beside {others[:5].tolist()}: say what it means, '
                f'--{prefix}foreground nonzero if it is one of many objects, '
                f'--{prefix}ignore 255 if such pixels are to be ignored, or '
                f'--{prefix}foreground LABEL ... with the labels that are foreground'
            )
