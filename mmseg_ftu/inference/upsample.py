"""Probabilities at the size of the original image, any strip of rows at a time.

Geometry of ``torch.nn.functional.interpolate(align_corners=False)``, which is that of
``cv2.INTER_LINEAR`` too: output pixel ``i`` looks at ``(i + 0.5) * h / H - 0.5``. Rows
of the source are stretched first and then blended row by row, so a strip holds exactly
what the whole result holds there.

Deviation: coordinates are computed in 64 bits. torch's own 32 bits move a sample of
a 768 px map by up to 6e-5 px.
"""

from typing import Protocol

import cv2
import numpy as np

from mmseg_ftu.inference.choices import UPSAMPLINGS


class RowSource(Protocol):
    """A 2-D map that is read by rows: an array, or a file on the disk."""

    shape: tuple[int, int]
    dtype: np.dtype

    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Return the rows ``y0 <= y < y1``, (y1 - y0, w)."""


class ArrayRows:
    """An array, or what can be sliced like one (``np.memmap``), as a ``RowSource``.

    Args:
        array: (h, w), uint8 (255 is probability 1) or float32 (0..1).

    Raises:
        ValueError: If it has another shape or dtype.
    """

    def __init__(self, array: np.ndarray):
        if len(array.shape) != 2 or 0 in array.shape:
            raise ValueError(f'probability has shape {array.shape}: expected (h, w)')
        if array.dtype not in (np.uint8, np.float32):
            raise ValueError(
                f'probability is {array.dtype}: convert it to float32 (0..1) or uint8'
            )
        self.array = array
        self.shape = array.shape[0], array.shape[1]
        self.dtype = np.dtype(array.dtype)

    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Return the rows ``y0 <= y < y1``, (y1 - y0, w)."""
        return np.asarray(self.array[y0:y1])


def as_rows(probability: RowSource | np.ndarray) -> RowSource:
    """Return a map that is read by rows."""
    if isinstance(probability, np.ndarray):
        return ArrayRows(probability)
    return probability


def upsample_rows(
    probability: RowSource | np.ndarray,
    original_shape: tuple[int, int],
    y0: int,
    y1: int,
    method: str = 'bilinear',
) -> np.ndarray:
    """Return some rows of a probability map brought to the original size.

    Args:
        probability: (h, w), uint8 (255 is 1) or float32 (0..1).
        original_shape: Height H and width W of the original, px; any ratio.
        y0: First row, 0-based.
        y1: Row after the last.
        method: ``'bilinear'``, or ``'half_nearest'``: the mean of bilinear and nearest,
            as the authors do it.

    Returns:
        (y1 - y0, W) float32 in 0..1.

    Raises:
        ValueError: If the method is unknown, a size is below 1 px or the rows leave the
            image.
    """
    probability = as_rows(probability)
    height, width = original_shape
    _check(method, original_shape, y0, y1)
    upper, lower, weight = _linear(probability.shape[0], height, y0, y1)
    first, last = int(upper[0]), int(lower[-1])
    nearest_rows = _nearest(probability.shape[0], height, y0, y1)
    if method == 'half_nearest':  # not between the neighbours where the map is larger
        first, last = min(first, int(nearest_rows[0])), max(last, int(nearest_rows[-1]))
    source = probability.rows(first, last + 1)
    source = np.multiply(
        source, 1 / 255 if source.dtype == np.uint8 else 1, dtype=np.float32
    )
    stretched = _stretch(source, width)
    share = 1.0 if method == 'bilinear' else 0.5
    result = _blend_rows(stretched, upper - first, lower - first, weight, share)
    if method == 'half_nearest':
        columns = _nearest(source.shape[1], width, 0, width)
        nearest = np.take(source, columns, axis=1) * np.float32(0.5)
        for i, a in enumerate((nearest_rows - first).tolist()):
            cv2.add(result[i : i + 1], nearest[a : a + 1], dst=result[i : i + 1])
    return result


def _check(method: str, shape: tuple[int, int], y0: int, y1: int) -> None:
    if method not in UPSAMPLINGS:
        raise ValueError(f'method {method!r}: choose from {", ".join(UPSAMPLINGS)}')
    if min(shape) < 1:
        raise ValueError(f'original_shape {shape}: must be at least 1 px each way')
    if not 0 <= y0 < y1 <= shape[0]:
        raise ValueError(f'rows {y0}..{y1} leave an image of {shape[0]} rows')


def _linear(
    size: int, target: int, i0: int, i1: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lower neighbour, upper neighbour and weight of the upper, each (i1 - i0,).

    They belong to the outputs ``i0 <= i < i1`` of ``target`` ones.
    """
    place = (np.arange(i0, i1) + 0.5) * (size / target) - 0.5
    place = np.maximum(place, 0)
    below = np.minimum(place.astype(np.int64), size - 1)
    return below, np.minimum(below + 1, size - 1), place - below


def _blend_rows(
    rows: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    weight: np.ndarray,
    share: float,
) -> np.ndarray:
    """Return ``share * ((1 - weight) * rows[upper] + weight * rows[lower])``."""
    result = np.empty((len(weight), rows.shape[1]), np.float32)
    neighbours = zip(upper.tolist(), lower.tolist(), weight.tolist(), strict=True)
    for i, (a, b, w) in enumerate(neighbours):
        one, other, target = rows[a : a + 1], rows[b : b + 1], result[i : i + 1]
        cv2.addWeighted(one, share * (1 - w), other, share * w, 0, dst=target)
    return result


def _nearest(size: int, target: int, i0: int, i1: int) -> np.ndarray:
    """Return the nearest source index; 32 bits as in torch, else edges differ."""
    place = np.arange(i0, i1, dtype=np.float32) * (
        np.float32(size) / np.float32(target)
    )
    return np.minimum(place.astype(np.int64), size - 1)


def _stretch(source: np.ndarray, width: int) -> np.ndarray:
    """Interpolate each row of (n, w) float32 to (n, width)."""
    if source.shape[1] == width:
        return source
    left, right, weight = _linear(source.shape[1], width, 0, width)
    result: np.ndarray = np.take(source, left, axis=1)
    difference = np.take(source, right, axis=1)
    difference -= result
    difference *= weight.astype(np.float32)
    result += difference
    return result
