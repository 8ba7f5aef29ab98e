"""A probability map on disk, written and read by rows."""

import tempfile
import threading
from pathlib import Path

import numpy as np

FULL = 65535  # stored value of probability 1; 16 bits are finer than any threshold


class ProbabilityFile:
    """Probability at working resolution in a temporary file; an `upsample.RowSource`.

    Args:
        shape: Height and width, px.
        folder: Folder for the file while it is needed; it vanishes with the object.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shape: tuple[int, int], folder: Path | None = None) -> None:
        self.shape = shape
        self._file = tempfile.TemporaryFile(  # noqa: SIM115 lives as long as this
            dir=folder, prefix='.probability-'
        )
        self._lock = threading.Lock()

    def write(self, y0: int, rows: np.ndarray) -> None:
        """Store rows ``(n, w)`` float32 in 0..1, the first at ``y0``."""
        stored = np.rint(rows * FULL).clip(0, FULL).astype(np.uint16)
        with self._lock:
            self._file.seek(y0 * self.shape[1] * 2)
            self._file.write(stored.data)

    def rows(self, y0: int, y1: int) -> np.ndarray:
        """Return the rows ``y0 <= y < y1``, (y1 - y0, w) float32."""
        stored = np.empty((y1 - y0, self.shape[1]), np.uint16)
        with self._lock:
            self._file.seek(y0 * self.shape[1] * 2)
            self._file.readinto(stored.data)
        return stored / np.float32(FULL)
