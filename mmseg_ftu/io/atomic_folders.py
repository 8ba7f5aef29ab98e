"""Writing a folder in one step, so that a crash never leaves half of one.

The folder is made in a hidden one beside its place and renamed at the end. While it is
made the hidden one is locked: what a killed process left is known by the lost lock.
"""

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmseg_ftu.io.atomic_files import A_DAY, SHOWN, is_temporary

NEW, OLD = 'new', 'old'  # in the hidden folder; the latter holds what is replaced


@contextmanager
def replacing_folder(place: Path) -> Iterator[Path]:
    """Give an empty folder that becomes ``place`` at the end.

    An older folder of that name is removed then. After an exception nothing is changed.
    A killed process leaves at most the hidden folder, which `remove_left_folders`
    removes.

    Raises:
        OSError: If the disk is full or may not be written to.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    hidden, lock = _begin_hidden(place)
    try:
        (hidden / NEW).mkdir()
        yield hidden / NEW
        _flush(hidden / NEW)
        _put_in_place(hidden, place)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(lock)


def remove_left_folders(place: Path) -> None:
    """Remove what killed processes left of a folder, and undo half an exchange.

    A process that was killed between taking the old folder away and giving the new one
    its name has left no folder at its place: the old one gets it back.

    Args:
        place: The folder that they were to become.
    """
    if not place.parent.is_dir():
        return
    for hidden in sorted(place.parent.iterdir()):
        if (
            hidden.name.startswith(f'.{place.name[:SHOWN]}.')
            and is_temporary(hidden.name)
            and hidden.is_dir()
            and not hidden.is_symlink()
        ):
            with suppress(OSError):  # another process may tidy up too
                _remove_if_left(hidden, place)


def _remove_if_left(hidden: Path, place: Path) -> None:
    lock = os.open(hidden, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody writes it
        except OSError:  # a disk without locks
            if time.time() - hidden.stat().st_mtime < A_DAY:
                return
        if {path.name for path in hidden.iterdir()} - {NEW, OLD}:
            return  # it is none of ours
        kept = [path.name for path in (hidden / OLD).glob('*')]
        if kept and kept != [place.name]:
            return  # of another folder whose name begins alike
        if kept and not os.path.lexists(place):
            (hidden / OLD / place.name).rename(place)
        shutil.rmtree(hidden)
    finally:
        os.close(lock)


def _begin_hidden(place: Path) -> tuple[Path, int]:
    """Make the hidden folder; returns it and its locked descriptor."""
    hidden = place.with_name(f'.{place.name[:SHOWN]}.{secrets.token_hex(4)}.tmp')
    hidden.mkdir()
    lock = os.open(hidden, os.O_RDONLY)
    with suppress(OSError):  # a disk without locks
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return hidden, lock


def _put_in_place(hidden: Path, place: Path) -> None:
    old = hidden / OLD / place.name
    if place.exists():
        old.parent.mkdir()
        place.rename(old)
    try:
        (hidden / NEW).rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise


def _flush(folder: Path) -> None:
    """Bring all bytes to the disk, else a power cut may keep names without them."""
    for path in folder.rglob('*'):
        if path.is_file():
            with path.open('rb') as file:
                os.fsync(file.fileno())
