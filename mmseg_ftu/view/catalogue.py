"""The images of a prediction folder, of which a few are open at a time."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from mmseg_ftu.view.image_row import SETTINGS, TABLE, ImageRow, read_rows
from mmseg_ftu.view.truth import Truth
from mmseg_ftu.view.viewed_image import ViewedImage

OPEN = 3  # images that stay open; a PNG of 8192 px takes 200 MB
THUMBNAIL = 160  # px of the longer side
QUALITY = 85  # of JPEG


class Catalogue:
    """The images of a prediction folder.

    Args:
        folder: The prediction folder.
        truth: Ground truth, if any.
        images: Files of images by id, for those that were moved.

    Attributes:
        rows: What the table says of each image.

    Raises:
        ValueError: If the folder is not one of predictions.
    """

    def __init__(
        self,
        folder: Path,
        truth: Truth | None = None,
        images: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder, self.truth, self._images = folder, truth, images or {}
        self._stamp = _stamp(folder)
        self.rows = read_rows(folder)
        self._open: dict[int, tuple[ViewedImage, list[int]]] = {}
        self._thumbnails: dict[int, bytes] = {}
        self._lock, self._one_at_a_time = threading.Lock(), threading.Lock()

    def check_unchanged(self) -> None:
        """Raise ValueError if predict has written into the folder since it was read."""
        if _stamp(self.folder) != self._stamp:
            raise ValueError(
                f'{self.folder}: predict has written into it since mmseg-ftu view was '
                'started, so masks and lists may be of different runs. Start view '
                'again when predict has come to its end.'
            )

    @contextmanager
    def opened(self, number: int) -> Iterator[ViewedImage]:
        """Lend an image; it stays open as long as it is lent, and for a while.

        Args:
            number: Place of the image in the table, from 0.

        Raises:
            IndexError: If there is no such place.
            ValueError: If predict has written into the folder since it was read.
        """
        self.check_unchanged()
        if not 0 <= number < len(self.rows):
            raise IndexError(number)
        with self._lock:
            if number not in self._open:
                self._open[number] = self._new(number), [0]
            image, users = self._open.pop(number)
            users[0] += 1
            self._open[number] = image, users  # the last one lent is the last here
            self._close_idle()
        try:
            yield image
        finally:
            with self._lock:
                users[0] -= 1

    def thumbnail(self, number: int) -> bytes:
        """Return a small JPEG of an image.

        Raises:
            IndexError: If there is no such place.
            ValueError: If the image cannot be read.
        """
        with self._one_at_a_time:  # a folder of large images is not decoded at once
            if number not in self._thumbnails:
                with self.opened(number) as image:
                    pyramid = image.picture.get()
                    last = len(pyramid.shapes) - 1
                    height, width = pyramid.shapes[last]
                    small = pyramid.read(last, 0, 0, height, width)
                self._thumbnails[number] = encode_jpeg(_limited(small))
            return self._thumbnails[number]

    def close(self) -> None:
        """Close all images."""
        with self._lock:
            for image, _ in self._open.values():
                image.close()
            self._open.clear()

    def _new(self, number: int) -> ViewedImage:
        row = self.rows[number]
        return ViewedImage(row, self.folder, self.truth, self._files_of(row))

    def _files_of(self, row: ImageRow) -> list[Path]:
        """Return the places where an image may be."""
        places = [self._images.get(row.id), row.path]
        if row.path is not None:
            places.insert(1, self._images.get(row.path.stem))
        if self.truth is not None:
            places.append(self.truth.image_path(row.id))
        return list(dict.fromkeys(path for path in places if path is not None))

    def _close_idle(self) -> None:
        idle = [n for n, (_, users) in self._open.items() if not users[0]]
        for number in idle[: max(0, len(self._open) - OPEN)]:
            self._open.pop(number)[0].close()


def encode_jpeg(rgb: np.ndarray) -> bytes:
    """Return an RGB image as JPEG."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()


def _stamp(folder: Path) -> list[tuple[int, int] | None]:
    """Return what tells whether the tables of a folder are still the same files."""
    stamps: list[tuple[int, int] | None] = []
    for name in (TABLE, SETTINGS):
        try:
            status = (folder / name).stat()
        except OSError:
            stamps.append(None)
        else:
            stamps.append((status.st_mtime_ns, status.st_size))
    return stamps


def _limited(rgb: np.ndarray) -> np.ndarray:
    scale = THUMBNAIL / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
