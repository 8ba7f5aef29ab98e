"""Run-length encoding of masks, as Kaggle's HuBMAP competition writes it.

A string ``'start length start length ...'``: pixels are counted from 1, from top to
bottom and then from left to right, so pixel 1 is the top left one and pixel
``height + 1`` the top of the second column. Encoding and decoding share this
convention, so a round trip is exact. The published masks themselves lie one pixel too
high, for everyone alike (docs/howto/image_files.md); nothing is shifted here.

``benchmarks/README.md`` has the times of the variants that were measured on the
competition's rows at 3000 x 3000 px. The module knows nothing of mm*.
"""

import cv2
import numpy as np


def encode(mask: np.ndarray) -> str:
    """Encode a binary mask.

    Args:
        mask: ``(H, W)``, boolean or of numbers 0 and 1.

    Returns:
        The runs of ones, each as long as can be; ``''`` for a mask without any.

    Raises:
        ValueError: If the mask is not two-dimensional or holds other values.
    """
    flat = _flatten_columns(_as_binary(mask))
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        edges = np.concatenate([[0], edges])
    if len(edges) % 2:  # the last run ends with the mask
        edges = np.concatenate([edges, [flat.size]])
    starts, ends = edges[0::2], edges[1::2]
    runs = np.stack([starts + 1, ends - starts], axis=1)
    return ' '.join(map(str, runs.ravel().tolist()))


def decode(rle: str, shape: tuple[int, int]) -> np.ndarray:
    """Decode a run-length encoded mask.

    Args:
        rle: Pairs of a 1-based start and a length, sorted and without overlap. Runs
            that touch are fine. ``''`` is an empty mask.
        shape: Height and width of the mask, px.

    Returns:
        ``(H, W)`` uint8 of 0 and 1, C-contiguous.

    Raises:
        ValueError: If the string is malformed or leaves the mask; the message names
            the pair (counted from 1).
    """
    height, width = shape
    if height < 1 or width < 1:
        raise ValueError(f'shape {shape}: height and width must be at least 1 px')
    numbers = _parse(rle)
    flat = np.zeros(height * width, np.uint8)
    free = 1  # the first pixel that is not yet behind us
    for index in range(0, len(numbers), 2):
        start, length = numbers[index], numbers[index + 1]
        if start < free or length < 1 or start + length - 1 > flat.size:
            raise ValueError(_run_fault(numbers, index, (height, width)))
        free = start + length
        flat[start - 1 : free - 1] = 1  # slices beat np.repeat and np.cumsum 6-fold
    # cv2.transpose works in blocks: 2 ms at 3000 x 3000, numpy's copy takes 30.
    return cv2.transpose(flat.reshape(width, height))


def _as_binary(mask: np.ndarray) -> np.ndarray:
    """Return the mask as uint8, or say why it is not binary."""
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise ValueError(f'mask has shape {mask.shape}: expected (height, width)')
    if mask.dtype == bool:
        return mask.view(np.uint8)
    if mask.dtype != np.uint8:
        binary = mask.astype(np.uint8)
        if not np.array_equal(binary, mask):
            raise ValueError(f'mask of {mask.dtype} holds values other than 0 and 1')
        mask = binary
    if mask.size and mask.max() > 1:
        raise ValueError(
            f'mask holds the value {mask.max()}: expected 0 and 1 only; '
            'compare it with the label or threshold first'
        )
    return mask


def _flatten_columns(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a uint8 mask column by column."""
    if not mask.size:
        return mask.ravel()
    return cv2.transpose(mask).ravel()


def _parse(rle: str) -> list[int]:
    """Split the string into an even count of whole numbers."""
    if not isinstance(rle, str):
        raise ValueError(
            f'the RLE is {rle!r}, not a string; an empty mask is written as an '
            'empty string'
        )
    tokens = rle.split()
    if not all(map(str.isdecimal, tokens)) or not rle.isascii():
        place, token = next(
            (place, token)
            for place, token in enumerate(tokens)
            if not (token.isdecimal() and token.isascii())
        )
        raise ValueError(
            f'pair {place // 2 + 1} of the RLE: {token!r} is not a whole number >= 1'
        )
    if len(tokens) % 2:
        raise ValueError(
            f'the RLE has an odd count of numbers ({len(tokens)}): the last start, '
            f'{tokens[-1]}, has no length'
        )
    return list(map(int, tokens))


def _run_fault(numbers: list[int], index: int, shape: tuple[int, int]) -> str:
    """Say what is wrong with the run at ``index``."""
    start, length = numbers[index], numbers[index + 1]
    run = f"pair {index // 2 + 1} of the RLE ('{start} {length}')"
    last = shape[0] * shape[1]
    if start < 1:
        return f'{run}: the start is below 1; pixels are counted from 1'
    if length < 1:
        return f'{run}: the length is below 1'
    if start + length - 1 > last:
        return (
            f'{run}: is out of range, it ends at pixel {start + length - 1} of a '
            f'{shape[0]} x {shape[1]} mask with {last} pixels'
        )
    before = f"pair {index // 2} ('{numbers[index - 2]} {numbers[index - 1]}')"
    if start < numbers[index - 2]:
        return f'{run}: unsorted, it starts before {before}'
    return f'{run}: overlaps {before}'
