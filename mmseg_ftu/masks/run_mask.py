"""A binary mask of any size as its horizontal runs.

The runs of a 20,000 x 20,000 mask with 2,000 units take some 10 MB, its pixels 400.
Memory grows with the length of all outlines: a mask of salt and pepper saves nothing.
Objects, outlines and the competition's RLE are all computed from runs, without
pixels (``objects``, ``boundary``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

STRIP_PIXELS = 2**20  # of a strip: 1 MB of mask, 4 MB of probabilities as float32


@dataclass(frozen=True)
class RunMask:
    """Runs of foreground, sorted by row and then by column.

    Runs of a row neither overlap nor touch, but for those of different objects of a
    label image; 12 bytes a run.

    Args:
        shape: Height and width of the mask, px.
        rows: Row of each run, (R,) int32.
        starts: First column of each run, (R,) int32.
        stops: Column after the last of each run, (R,) int32.
    """

    shape: tuple[int, int]
    rows: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    @classmethod
    def from_strips(
        cls, strips: Iterable[np.ndarray], shape: tuple[int, int]
    ) -> 'RunMask':
        """Read a mask strip by strip.

        Args:
            strips: Strips of the mask from top to bottom, each (n, W), bool or uint8;
                not 0 is foreground.
            shape: Height and width of the whole mask, px.

        Raises:
            ValueError: If the strips do not make up that shape.
        """
        found = [np.zeros((3, 0), np.int32)]
        for y, strip in checked_strips(strips, shape):
            step = max(1, STRIP_PIXELS // shape[1])
            for k in range(0, len(strip), step):
                found.append(runs_of_pixels(strip[k : k + step], y + k))
        return cls((shape[0], shape[1]), *np.concatenate(found, axis=1))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """Pixels of each run, (R,) int32."""
        lengths: np.ndarray = self.stops - self.starts
        return lengths

    @property
    def area(self) -> int:
        """Foreground, px."""
        return int(self.lengths.sum(dtype=np.int64))

    def select(self, keep: np.ndarray) -> 'RunMask':
        """Return the mask of some runs; ``keep`` is (R,) bool, or their places."""
        return RunMask(self.shape, self.rows[keep], self.starts[keep], self.stops[keep])

    def gaps(self) -> 'RunMask':
        """Return the background as a mask."""
        height, width = self.shape
        # A row's gaps lie between its left border, its runs and its right border.
        row, base = np.divmod(np.arange(height * 2, dtype=np.int64), 2)
        border = row * (width + 1) + base * width
        run = self.rows * np.int64(width + 1)
        begins = np.sort(np.concatenate([border[::2], run + self.stops]))
        ends = np.sort(np.concatenate([border[1::2], run + self.starts]))
        some = begins < ends
        rows, starts = np.divmod(begins[some], width + 1)
        stops = ends[some] - rows * (width + 1)
        return RunMask(self.shape, *(a.astype(np.int32) for a in (rows, starts, stops)))

    def dense(self, y0: int, y1: int) -> np.ndarray:
        """Return the rows ``y0 <= y < y1`` as pixels, (y1 - y0, W) uint8, 0 and 1."""
        return self.part(y0, 0, y1 - y0, self.shape[1])

    def part(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Return a part as pixels, (height, width) uint8, 0 and 1."""
        first, last = np.searchsorted(self.rows, [top, top + height])
        starts = (self.starts[first:last] - left).clip(0, width)
        stops = (self.stops[first:last] - left).clip(0, width)
        there = starts < stops
        base = (self.rows[first:last][there] - np.int64(top)) * width
        pixels = np.zeros(height * width, np.uint8)
        # Slices beat np.repeat and np.cumsum several-fold, as in masks.rle.
        begins, ends = base + starts[there], base + stops[there]
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            pixels[begin:end] = 1
        return pixels.reshape(height, width)

    def strips(self) -> Iterator[np.ndarray]:
        """Yield the pixels from top to bottom, (n, W) uint8, 0 and 1."""
        height, width = self.shape
        step = max(1, STRIP_PIXELS // width)
        for y in range(0, height, step):
            yield self.dense(y, min(y + step, height))


def checked_strips(
    strips: Iterable[np.ndarray], shape: tuple[int, int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each strip behind its first row.

    Raises:
        ValueError: If the strips do not make up ``shape``.
    """
    height, width = shape
    y = 0
    for strip in strips:
        if strip.ndim != 2 or strip.shape[1] != width or y + len(strip) > height:
            raise ValueError(
                f'strip at row {y} has shape {strip.shape}: it does not fit into '
                f'{height} x {width} px'
            )
        yield y, strip
        y += len(strip)
    if y != height:
        raise ValueError(f'strips end at row {y} of {height} x {width} px')


def runs_of_pixels(strip: np.ndarray, y: int) -> np.ndarray:
    """Return rows, starts and stops of a strip that begins at row ``y``, (3, R) int32.

    Args:
        strip: (n, W), bool or uint8; not 0 is foreground.
        y: First row of the strip.
    """
    height, width = strip.shape
    framed = np.zeros((height, width + 2), bool)
    framed[:, 1:-1] = strip
    edges = np.flatnonzero(framed[:, 1:] != framed[:, :-1])
    rows, columns = np.divmod(edges, width + 1)
    return np.stack([rows[::2] + y, columns[::2], columns[1::2]]).astype(np.int32)
