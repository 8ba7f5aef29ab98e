"""One process at a time writes a prepared folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmseg_ftu.io.locks import take_lock
from mmseg_ftu.preparation.journal import LOCK, Journal
from mmseg_ftu.preparation.records import PreparationError


def require_free(folder: Path) -> None:
    """Raise PreparationError if another process is writing a folder."""
    try:
        handle = take_lock(folder / LOCK, create=False)
    except OSError:  # nobody has made the lock, or only others may write here
        return
    if handle is None:
        raise _busy(folder)
    os.close(handle)


@contextmanager
def held(folder: Path, journal: Journal) -> Iterator[None]:
    """Make a folder and keep other processes from writing it.

    Args:
        folder: The prepared folder; made if it is not there.
        journal: What was read of it before.

    Raises:
        PreparationError: If another process is writing it, or did since ``journal`` was
            read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    handle = take_lock(path)
    if handle is None:
        raise _busy(folder)
    try:
        _require_as_read(folder, journal)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def refusing_others(folder: Path, journal: Journal) -> Iterator[None]:
    """Blame another process for a refusal if it wrote the folder meanwhile.

    The files of that process are in nobody's way, but ``journal`` does not know them.

    Args:
        folder: The prepared folder.
        journal: What was read of it before.

    Raises:
        PreparationError: If another process is writing the folder, or did since
            ``journal`` was read; else what was raised inside.
    """
    try:
        yield
    except PreparationError:
        require_free(folder)
        _require_as_read(folder, journal)
        raise


def _require_as_read(folder: Path, journal: Journal) -> None:
    if not Journal(folder).is_as(journal):
        raise PreparationError(
            f'{folder}: another process has prepared it meanwhile; run the command '
            'again to see whether anything is left to do'
        )


def _busy(folder: Path) -> PreparationError:
    return PreparationError(
        f'{folder}: another process is preparing it; wait for that, or name another '
        'folder'
    )
