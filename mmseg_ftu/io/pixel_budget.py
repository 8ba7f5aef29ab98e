"""A limit for the pixels that all threads of a process decode at once.

PNG and JPEG can only be decoded as a whole, and a small file may hold a large image:
13,000 x 13,000 px of one colour take 0.5 MB on disk and 0.5 GB in memory. So threads
wait until what is decoded at the same time fits.
"""

import ctypes
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mmseg_ftu.io.images import read_size
from mmseg_ftu.io.raster import MAX_PIXELS

Item = TypeVar('Item')
Result = TypeVar('Result')

LARGE = 16_000_000  # px, 4000 x 4000


class PixelBudget:
    """Let threads hold decoded images as long as these fit together.

    Threads get their turn in the order in which they ask, so that a large image is not
    passed by small ones for ever. An image above the budget is held alone. A thread
    that holds pixels must not ask for more, since it could wait for itself.

    Args:
        pixels: The most pixels that are held at once, the largest image by default.

    Attributes:
        held: The pixels that are held now.

    Raises:
        ValueError: If the budget is not positive.
    """

    def __init__(self, pixels: int = MAX_PIXELS) -> None:
        if pixels < 1:
            raise ValueError(f'pixels={pixels}: give at least 1')
        self.pixels, self.held = pixels, 0
        self._turns: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until so many pixels fit, and hold them inside the ``with`` block."""
        if pixels == 0:
            yield
            return
        self._wait(pixels)
        try:
            yield
        finally:
            if pixels >= LARGE:
                give_memory_back()
            with self._changed:
                self.held -= pixels
                self._changed.notify_all()

    def limit(
        self, function: Callable[[Item], Result], pixels: Callable[[Item], int]
    ) -> Callable[[Item], Result]:
        """Return the function, called only while the pixels of its item are held."""

        def limited(item: Item) -> Result:
            with self.hold(pixels(item)):
                return function(item)

        return limited

    def _wait(self, pixels: int) -> None:
        turn = object()
        with self._changed:
            self._turns.append(turn)
            try:
                self._changed.wait_for(
                    lambda: self._turns[0] is turn and self._fits(pixels)
                )
                self.held += pixels
            finally:  # also when Ctrl-C ends the wait
                self._turns.remove(turn)
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        return self.held == 0 or self.held + pixels <= self.pixels


def give_memory_back() -> None:
    """Return memory that was freed to the system.

    Pillow decodes into blocks of 16 MiB. glibc keeps such blocks for the thread that
    freed them, so that every thread would keep the memory of its largest image.
    """
    if sys.platform == 'linux':
        trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc has it
        if trim is not None:
            trim(0)


def pixels_of(path: Path) -> int:
    """Return how many pixels the header of an image announces.

    Returns:
        The number; 0 if the header cannot be read, since the reader of the image then
        refuses it before it decodes anything.
    """
    try:
        height, width = read_size(path)
    except (ValueError, OSError):
        return 0
    return height * width
