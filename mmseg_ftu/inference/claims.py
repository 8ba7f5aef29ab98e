"""Who works on which image: a locked file for each, in the folder of the records.

The lock ends with its process, so what a dead process began is free for others at
once, and what a living one works on never is. The file also names the results that are
about to be written, so that whoever goes on knows them for the tool's own.
"""

import json
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from mmseg_ftu.io.locks import take_lock, wait_for_lock


class Claims:
    """The images that this process works on.

    Args:
        folder: Folder of the records.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, name: str) -> bool:
        """Claim an image; False if someone else works on it."""
        handle = take_lock(self._path(name))
        if handle is not None:
            self._held[name] = handle
        return handle is not None

    def note(self, name: str, files: Iterable[str]) -> None:
        """Write into a claim which files may be made of the image from now on."""
        owner = dict(host=socket.gethostname(), process=os.getpid())
        text = json.dumps({**owner, 'files': sorted(files)}).encode()
        handle = self._held[name]
        os.ftruncate(handle, 0)
        os.pwrite(handle, text, 0)
        os.fsync(handle)

    def noted(self, name: str) -> list[str]:
        """Return what the claim of an image names, also one of a dead process."""
        return _files_of(self._path(name))

    def drop(self, name: str) -> None:
        """Give an image back, if it is held."""
        handle = self._held.pop(name, None)
        if handle is not None:
            self._path(name).unlink(missing_ok=True)
            os.close(handle)

    def drop_all(self) -> None:
        """Give all images back; the notes of what was begun stay."""
        while self._held:
            _, handle = self._held.popitem()
            os.close(handle)

    def left(self) -> dict[str, list[str]]:
        """Return the files that dead processes noted, by image."""
        left = {}
        for path in self._folder.glob('.*.claim'):
            try:
                handle = take_lock(path, create=False)
            except FileNotFoundError:  # given back in this moment
                continue
            if handle is not None:
                left[path.name[1:].removesuffix('.claim')] = _files_of(path)
                os.close(handle)
        return left

    def forget(self, name: str) -> None:
        """Remove the claim of a dead process."""
        if self.take(name):
            self.drop(name)

    def _path(self, name: str) -> Path:
        return self._folder / f'.{name}.claim'


class InUse:
    """Mark a folder as in use, by processes that share it or by one alone.

    Args:
        path: The file that is locked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def share(self) -> None:
        """Hold the folder together with others, until `leave`."""
        self.leave()
        self._handle = wait_for_lock(self._path, shared=True)

    def is_mine_alone(self) -> bool:
        """Tell whether no other process holds the folder."""
        self.leave()
        handle = take_lock(self._path)
        if handle is not None:
            os.close(handle)
        return handle is not None

    def leave(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _files_of(path: Path) -> list[str]:
    try:
        return list(json.loads(path.read_text(encoding='utf-8'))['files'])
    except (OSError, ValueError, KeyError, TypeError):
        return []
