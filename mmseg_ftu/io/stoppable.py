"""Reading that can be stopped from outside: Ctrl-C must not wait for a slide."""

import threading

import numpy as np

from mmseg_ftu.io.sources import Source


class StoppedError(Exception):
    """Reading was stopped from outside."""


class StoppableSource:
    """A `Source` that raises in place of reading once it has been stopped.

    Args:
        source: The image.
        stopped: Stops it when it is set.
    """

    def __init__(self, source: Source, stopped: threading.Event) -> None:
        self.source, self.stopped = source, stopped
        self.shape, self.by_rows = source.shape, source.by_rows
        self.pixel_size = source.pixel_size
        self.pixel_size_fault = source.pixel_size_fault
        self.is_slide, self.levels = source.is_slide, source.levels

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a region of the image.

        Raises:
            StoppedError: If it has been stopped.
        """
        self.check()
        return self.source.read(level, top, left, height, width)

    def check(self) -> None:
        """Raise if it has been stopped.

        Raises:
            StoppedError: If so.
        """
        if self.stopped.is_set():
            raise StoppedError('reading was stopped')

    def close(self) -> None:
        """Close the image."""
        self.source.close()
