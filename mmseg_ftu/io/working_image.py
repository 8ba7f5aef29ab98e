"""The image as the network sees it: at working resolution, of any size, on disk.

A slide is brought to working resolution once, block by block, and kept in a temporary
file; its upper part can be read while the lower one is made. Each working pixel
averages the area that it covers, whatever the block, so that the result is that of
resizing the whole image, which is what preparation does.

The file is read and written by system calls. ``np.memmap`` would be shorter and faster,
but mapped pages count as memory of the process: 148 MiB instead of 23 for a working
image and its probabilities of 5120 px a side, 537 instead of 47 for 10240 px.
"""

import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import csr_array

from mmseg_ftu.io.background_rows import BackgroundRows
from mmseg_ftu.io.sources import Source

BLOCK = 512  # working px a side that are made at once
THUMBNAIL_BLOCK = 128  # the same of a small picture, as each px stands for many


class WorkingImage:
    """RGB at working resolution in a temporary file, a `Source` itself.

    Args:
        shape: Height and width, px.
        folder: Folder for the file while it is needed; it vanishes with the object.
    """

    pixel_size: float | None = None
    pixel_size_fault: str | None = None
    is_slide = False
    by_rows = True

    def __init__(self, shape: tuple[int, int], folder: Path | None = None) -> None:
        self.shape, self.levels = shape, [shape]
        self._folder = folder or Path(tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(  # noqa: SIM115 lives as long as this
            dir=folder, prefix='.working-'
        )
        self._file.truncate(shape[0] * shape[1] * 3)
        self._lock = threading.Lock()
        self._filling: BackgroundRows | None = None

    def fill(
        self, source: Source, note: Callable[[np.ndarray], object] = lambda block: None
    ) -> None:
        """Fill it with a source at this size; each block is shown to ``note``."""
        for _ in self._fill(source, note):
            pass

    def fill_behind(self, source: Source, at_end: Callable[[], object]) -> None:
        """Fill it in a thread, which closes the source and calls ``at_end`` in the end.

        Reading waits for the rows it needs, and raises what the source raised.
        """

        def steps() -> Generator[int, None, None]:
            try:
                with closing(source):
                    yield from self._fill(source)
            finally:
                at_end()

        self._filling = BackgroundRows(steps())

    def _fill(
        self, source: Source, note: Callable[[np.ndarray], object] = lambda block: None
    ) -> Iterator[int]:
        """Fill it from the top; yield after each block how many rows are complete."""
        width = self.shape[1]
        for box in blocks(self.shape, by_rows=source.by_rows):
            block = read_scaled(source, self.shape, box)
            self.write(box[0], box[1], block)
            note(block)
            yield box[0] + (box[2] if box[1] + box[3] == width else 0)

    def write(self, top: int, left: int, block: np.ndarray) -> None:
        """Store a block ``(h, w, 3)`` uint8."""
        with self._use():
            for y, row in enumerate(np.ascontiguousarray(block), start=top):
                self._file.seek((y * self.shape[1] + left) * 3)
                self._file.write(row.data)

    def read(
        self, level: int, top: int, left: int, height: int, width: int
    ) -> np.ndarray:
        """Read a part as ``(height, width, 3)`` uint8; there is level 0 only."""
        if self._filling:
            self._filling.wait(top + height)
        out = np.empty((height, width, 3), np.uint8)
        with self._use():
            for y, row in enumerate(out, start=top):
                self._file.seek((y * self.shape[1] + left) * 3)
                self._file.readinto(row.data)
        return out

    @contextmanager
    def _use(self) -> Iterator[None]:
        """Let one thread use the file; name its folder where that fails."""
        with self._lock:
            try:
                yield
            except OSError as error:  # of a full disk, also when what waits is written
                place = str(self._folder)
                raise OSError(error.errno, error.strerror, place) from error

    def close(self) -> None:
        """Remove the file; where it is still being filled, that ends."""
        if self._filling:
            self._filling.stop()
        with suppress(OSError):  # a full disk, of a file that is not needed any more
            self._file.close()


def blocks(
    shape: tuple[int, int], side: int = BLOCK, by_rows: bool = False
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, left, height, width) of blocks that cover a shape.

    Args:
        shape: Height and width, px.
        side: Side of a block, px.
        by_rows: Make the blocks as wide as the shape, of about as many pixels.
    """
    down, across = side, side
    if by_rows:
        down, across = max(1, side * side // shape[1]), shape[1]
    for top in range(0, shape[0], down):
        for left in range(0, shape[1], across):
            yield top, left, min(down, shape[0] - top), min(across, shape[1] - left)


def read_resized(source: Source, shape: tuple[int, int]) -> np.ndarray:
    """Read a whole image at another size, block by block; RGB uint8."""
    out = np.empty((*shape, 3), np.uint8)
    for box in blocks(shape, THUMBNAIL_BLOCK, source.by_rows):
        top, left, height, width = box
        part = out[top : top + height, left : left + width]
        part[:] = read_scaled(source, shape, box)
    return out


def read_scaled(
    source: Source, shape: tuple[int, int], box: tuple[int, int, int, int]
) -> np.ndarray:
    """Read a part of an image as if it had been resized.

    Args:
        source: The image.
        shape: Height and width of the whole resized image, px.
        box: Top, left, height and width of the part, in px of the resized image.

    Returns:
        RGB uint8 ``(height, width, 3)``, within one grey level of that part of
        ``cv2.resize`` of the level used (INTER_AREA down, INTER_LINEAR up).
    """
    top, left, height, width = box
    level = best_level(source.levels, shape)
    full = source.levels[level]
    if full == shape:
        return source.read(level, top, left, height, width)
    if factor := _whole_factor(full, shape):  # 30 times as fast, the same to a level
        region = source.read(level, *(factor * number for number in box))
        return cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA)
    first_row, rows = resize_weights(full[0], shape[0], top, top + height)
    first_column, columns = resize_weights(full[1], shape[1], left, left + width)
    region = source.read(
        level, first_row, first_column, rows.shape[1], columns.shape[1]
    )
    lines = rows @ region.reshape(region.shape[0], -1).astype(np.float32)
    # cv2's transpose takes a third of the time of numpy's, which is most of the rest
    lines = cv2.transpose(lines.reshape(height, -1, 3)).reshape(-1, height * 3)
    pixels = cv2.convertScaleAbs(columns @ lines).reshape(width, height, 3)
    upright: np.ndarray = cv2.transpose(pixels)
    return upright


def _whole_factor(full: tuple[int, int], shape: tuple[int, int]) -> int:
    """Return how many times as large one shape is, 0 if that is not a whole number."""
    factor = full[0] // shape[0]
    is_whole = full == (factor * shape[0], factor * shape[1])
    return factor if is_whole else 0


def resize_weights(
    size: int, new_size: int, start: int, stop: int
) -> tuple[int, csr_array]:
    """Return how pixels of a line make up those of the resized line.

    Args:
        size: Length of the line, px.
        new_size: Length of the resized line, px.
        start: First pixel wanted of the resized line.
        stop: The one after the last.

    Returns:
        The first pixel needed, and ``(stop - start, n)`` float32 weights of the n
        pixels from there; rows sum to one.
    """
    scale = size / new_size
    place = np.arange(start, stop)
    if scale >= 1:
        begin, end = place * scale, np.minimum((place + 1) * scale, size)
        low, high = np.floor(begin).astype(int), np.ceil(end - 1e-9).astype(int)
    else:
        centre = (place + 0.5) * scale - 0.5
        low = np.floor(centre).astype(int)
        high = low + 2
    counts = high - low
    row = np.repeat(np.arange(len(place)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    pixel = low[row] + offset
    if scale >= 1:
        weight = np.minimum(pixel + 1, end[row]) - np.maximum(pixel, begin[row])
        weight /= (end - begin)[row]
    else:
        weight = 1 - np.abs(pixel - centre[row])
        pixel = np.clip(pixel, 0, size - 1)
    first = int(pixel.min())
    shape = len(place), int(pixel.max()) + 1 - first
    return first, csr_array((weight.astype(np.float32), (row, pixel - first)), shape)


def best_level(levels: list[tuple[int, int]], shape: tuple[int, int]) -> int:
    """Return the smallest level that is not smaller than the shape."""
    fitting = [i for i, (h, w) in enumerate(levels) if h >= shape[0] and w >= shape[1]]
    return fitting[-1] if fitting else 0
