"""Locks on files; they end with the process that holds them, however it ends.

``flock`` works between the processes of a machine and, on network disks that support
it (NFS among them), between machines.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def take_lock(path: Path, create: bool = True) -> int | None:
    """Lock a file without waiting.

    Args:
        path: The file; it may be removed while the lock is held.
        create: Make the file if it is not there.

    Returns:
        The descriptor of the locked file, to be closed with ``os.close``; None if
        another one holds the lock.

    Raises:
        FileNotFoundError: If there is no file and it is not to be made.
        OSError: If the disk supports no locks.
    """
    flags = os.O_RDWR | (os.O_CREAT if create else 0)
    while True:
        handle = os.open(path, flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(handle, path):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError as error:
            os.close(handle)
            raise _without_locks(path, error) from error
        os.close(handle)  # the holder removed the file in between


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock of a file; False if there is no file.

    It needs no permission to write, and no place on the disk.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        raise _without_locks(path, error) from error
    finally:
        os.close(handle)
    return False


def wait_for_lock(path: Path, shared: bool = False) -> int:
    """Lock a file that nobody removes, as soon as its holders let go of it.

    Args:
        path: The file; made if it is not there.
        shared: Whether others may hold it in the same way at the same time.

    Returns:
        The descriptor of the locked file, to be closed with ``os.close``.

    Raises:
        OSError: If the disk supports no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    except OSError as error:
        os.close(handle)
        raise _without_locks(path, error) from error
    return handle


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file that nobody removes; waits for it."""
    handle = wait_for_lock(path)
    try:
        yield
    finally:
        os.close(handle)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that nobody removes; waits for it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise _without_locks(folder, error) from error
        yield
    finally:
        os.close(handle)


def _without_locks(path: Path, error: OSError) -> OSError:
    return OSError(
        f'{path}: this disk supports no locks ({error}); write to another disk'
    )


def is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
