"""Writing files in one step, so that a crash never leaves half a file."""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np

from mmseg_ftu.io.locks import is_at, take_lock

TEMPORARY = re.compile(r'\..+\.[0-9a-f]{8}\.tmp')
SHOWN = 40  # characters of a file's name that its temporary file has
A_DAY = 24 * 60 * 60  # s; no write takes that long
# Images are stored for fast reading: not compressed and, where OpenCV can be told so,
# without PNG's row filters. 768 x 768 tissue with cv2.imread: 2.5 ms (1.8 MB), with
# filters 8 to 14 ms, compressed 18 ms and more (1.0 MB).
IMAGE_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 0]
# Masks: run lengths of unfiltered rows. 3000 x 3000 with 40 units: 20 ms and 35 kB;
# with OpenCV's defaults for level 1 73 ms and 83 kB.
MASK_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1]
MASK_OPTIONS += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, 'IMWRITE_PNG_FILTER'):
    UNFILTERED = [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
    IMAGE_OPTIONS += UNFILTERED
    MASK_OPTIONS += UNFILTERED


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG; an older one is replaced.

    Args:
        path: Target file.
        pixels: RGB ``(H, W, 3)`` or mask ``(H, W)``, uint8.
    """
    write_bytes(path, encode_png(pixels))


def encode_png(pixels: np.ndarray) -> bytes:
    """Return the PNG of an RGB image ``(H, W, 3)`` or mask ``(H, W)``, uint8."""
    options = MASK_OPTIONS
    if pixels.ndim == 3:
        pixels, options = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), IMAGE_OPTIONS
    _, encoded = cv2.imencode('.png', pixels, options)
    return encoded.tobytes()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary one beside it.

    Raises:
        OSError: If it cannot be written; it names the file.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file that becomes ``path`` at the end.

    Each call has a name of its own, so several processes may write the same file. After
    an exception the temporary file is removed and an older file stays. A killed process
    leaves at most the temporary file, which `remove_leftovers` removes.
    """
    temporary, lock = _begin_temporary(path)
    try:
        yield temporary
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())  # else a power cut may keep the name without bytes
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


def remove_leftovers(folder: Path, name: str = '') -> list[Path]:
    """Remove temporary files of `replacing` whose process has died.

    A process locks its temporary file while it writes, so those of a living one stay,
    also those of other machines. On disks without locks those of the last day stay.

    Args:
        folder: Folder to tidy up.
        name: Name of the file that they were to become; all files if empty.

    Returns:
        The files that were removed.
    """
    if not folder.is_dir():
        return []
    start = f'.{name[:SHOWN]}.' if name else '.'
    return [
        path
        for path in sorted(folder.iterdir())
        if path.name.startswith(start)
        and is_temporary(path.name)
        and _remove_if_left(path)
    ]


def _remove_if_left(path: Path) -> bool:
    """Remove a temporary file unless somebody may still write it; tells if it did."""
    with suppress(OSError):
        try:
            lock = take_lock(path, create=False)
        except (FileNotFoundError, PermissionError):
            return False
        except OSError:  # a disk without locks
            if time.time() - path.stat().st_mtime > A_DAY:
                path.unlink()
                return True
            return False
        if lock is not None:
            path.unlink(missing_ok=True)
            os.close(lock)
            return True
    return False


def is_temporary(name: str) -> bool:
    """Tell whether `replacing` makes files of such a name."""
    return TEMPORARY.fullmatch(name) is not None


def _begin_temporary(path: Path) -> tuple[Path, int]:
    """Make a temporary file beside a path; returns it and its open descriptor."""
    while True:
        # the beginning of the name is enough to recognise it, and never too long
        name = f'.{path.name[:SHOWN]}.{secrets.token_hex(4)}.tmp'
        temporary = path.with_name(name)
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with suppress(OSError):  # a disk without locks, on which nothing is removed
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(handle, temporary):  # else `remove_leftovers` was quicker
            return temporary, handle
        os.close(handle)
