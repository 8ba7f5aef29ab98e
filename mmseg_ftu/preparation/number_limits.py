"""Limits of the numbers that the preparation tools take."""

import math

from mmseg_ftu.io.raster import MAX_PIXELS
from mmseg_ftu.preparation.records import PreparationError

LARGEST_SIZE = math.isqrt(MAX_PIXELS)  # px, the side of a square image


def require_between(
    option: str, value: int, least: int, most: int | None = None, unit: str = ''
) -> None:
    """Raise where a number makes no sense, or would fill the memory.

    Args:
        option: Option as the user types it, for the message.
        value: Number that was given.
        least: Smallest number allowed.
        most: Largest number allowed; None sets no limit.
        unit: Unit for the message, such as ``'px'``.

    Raises:
        PreparationError: If ``value`` is out of range.
    """
    if value < least or (most is not None and value > most):
        span = f'{least} or more' if most is None else f'{least} to {most}'
        raise PreparationError(f'{option} {value}: give {span} {unit}'.rstrip())
