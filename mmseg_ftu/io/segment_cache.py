"""Decoded tiles and strips that the next regions of an image will need again."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

LARGEST = 64 * 2**20  # bytes: a row of tiles of 256 px that are 85,000 px wide


class SegmentCache:
    """The segments that were used last; safe to use from several threads.

    Regions are read block by block, and blocks rarely end where tiles do. Without it
    each tile at the border of a block is decoded twice. So are those of a row that is
    larger than ``largest``.

    Args:
        largest: The most bytes that are kept; a larger segment is not kept at all.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self.largest, self.bytes = largest, 0
        self._segments: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> np.ndarray | None:
        """Return a segment, None if it is not kept."""
        with self._lock:
            if key in self._segments:
                self._segments.move_to_end(key)
            return self._segments.get(key)

    def keep(self, key: Hashable, pixels: np.ndarray) -> None:
        """Keep a segment, and give up what was used longest ago."""
        with self._lock:
            if key in self._segments or pixels.nbytes > self.largest:
                return
            self._segments[key] = pixels
            self.bytes += pixels.nbytes
            while self.bytes > self.largest:
                self.bytes -= self._segments.popitem(last=False)[1].nbytes

    def drop(self, key: Hashable) -> None:
        """Forget a segment, if it is kept."""
        with self._lock:
            if (pixels := self._segments.pop(key, None)) is not None:
                self.bytes -= pixels.nbytes
