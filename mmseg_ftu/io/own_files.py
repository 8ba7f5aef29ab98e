"""The rule of all tools that write: a tool replaces only what it wrote itself.

A folder that is not empty must hold the tool's own list of what it wrote. A single file
must look like what the tool writes: it is known by a mark in its content. Everything
else is left alone, and named.
"""

import hashlib
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from mmseg_ftu.io.atomic_files import is_temporary, remove_leftovers

# What systems put into folders that people call empty.
SYSTEM_FILES = {'.DS_Store', '.directory', 'desktop.ini', 'lost+found', 'Thumbs.db'}
LIST = '.written_by_mmseg_ftu'
PNG_START = b'\x89PNG\r\n\x1a\n'
PNG_HEADER = 33  # bytes: the start and the chunk IHDR
PNG_MARK = b'tEXtSoftware\0mmseg_ftu'
PACKAGE_MARK = b'written by mmseg_ftu'  # the comment, the last bytes of the archive
ONNX_MARK = re.compile(rb'\x08producer\x12.mmseg_ftu ', re.DOTALL)

IsOwn = Callable[[bytes], bool]


def is_empty(folder: Path, also: Iterable[str] = ()) -> bool:
    """Tell whether a folder holds nothing of anybody, or is not there.

    What systems put into every folder does not count, nor do temporary files that a
    killed process left.

    Args:
        folder: The folder.
        also: Further names that do not count.
    """
    passed = SYSTEM_FILES | {*also}
    return not folder.is_dir() or all(
        path.name in passed or path.name.startswith('._') or is_temporary(path.name)
        for path in folder.iterdir()
    )


def refuse_nesting(
    output: Path, folders: Iterable[Path], files: Iterable[Path] = ()
) -> None:
    """Raise where results would lie among what they are made of.

    Args:
        output: The folder to write to.
        folders: Folders that are read: none may be, hold or lie in the output.
        files: Files that are read: neither they nor what they link to may lie in the
            output.

    Raises:
        ValueError: If the output and one of them overlap.
    """
    for folder in folders:
        if lies_in(folder, output) or lies_in(output, folder):
            raise ValueError(
                f'{output} is, holds or lies in the input folder {folder}: name a '
                'folder beside it'
            )
    checked: set[Path] = set()
    for file in files:
        places = {file.parent}
        if file.is_symlink():
            places.add(followed(file).parent)
        for place in places - checked:
            checked.add(place)
            if lies_in(place, output):
                raise ValueError(
                    f'{file} is an input and lies in the output folder {output}: name '
                    'another folder'
                )


def refuse_among(output: Path, files: Iterable[Path]) -> None:
    """Raise where a file would be written among the images that it is made of.

    The next run would take it for one of them.

    Args:
        output: The file to write.
        files: The images.

    Raises:
        ValueError: If one of them lies in the same folder.
    """
    place = output.parent.resolve()
    if any(folder.resolve() == place for folder in {file.parent for file in files}):
        raise ValueError(
            f'{output} would lie among the images of {output.parent}, and the next run '
            'would read it as one of them: name another folder'
        )


def followed(path: Path) -> Path:
    """Return where a path leads, links followed; itself where they lead in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # the latter for a circle, before Python 3.13
        return path.absolute()


def lies_in(path: Path, folder: Path) -> bool:
    """Tell whether a path is a folder or lies in it, links followed."""
    path, folder = followed(path), followed(folder)
    return path.is_relative_to(folder) or (
        folder.exists()
        and any(p.exists() and p.samefile(folder) for p in (path, *path.parents))
    )


def require_own(path: Path, is_own: IsOwn) -> None:
    """Raise if a file is there that the tool did not write.

    Call it before the work, and write with ``atomic_files``. Temporary files that a
    killed process left of this file are removed.

    Args:
        path: The file to be written.
        is_own: Tells it by the content, e.g. `is_own_picture`.

    Raises:
        ValueError: If there is a folder or another file of that name.
    """
    if path.is_dir():
        raise ValueError(f'{path} is a folder: name a file to write')
    if path.is_file() and not is_own(path.read_bytes()):
        raise ValueError(
            f'{path} is there already and was not written by this tool: name another '
            'file, or move it away'
        )
    remove_leftovers(path.parent, path.name)


def make_parent(path: Path) -> None:
    """Make the folder that a file is to be written into, before long work.

    Raises:
        ValueError: If it cannot be made or written into.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fault = (
            None if os.access(path.parent, os.W_OK) else 'it may not be written into'
        )
    except OSError as error:
        fault = error.strerror
    if fault:
        raise ValueError(f'{path}: its folder cannot be used ({fault}); name another')


def is_own_csv(*columns: str) -> IsOwn:
    """Return a function that knows a table by its first columns."""
    start = ','.join(columns).encode()
    return lambda content: content.startswith(start)


def is_own_json(**entries: object) -> IsOwn:
    """Return a function that knows a JSON object by entries; None allows any value."""

    def is_own(content: bytes) -> bool:
        try:
            found = json.loads(content)
        except ValueError:
            return False
        return isinstance(found, dict) and all(
            key in found and value in (None, found[key])
            for key, value in entries.items()
        )

    return is_own


def is_own_report(content: bytes) -> bool:
    """Tell whether a page is a report."""
    return b'<p class="kicker">mmseg_ftu</p>' in content


def is_own_prepared_page(content: bytes) -> bool:
    """Tell whether a page shows a prepared folder."""
    return b'<p class="kicker">mmseg_ftu, prepared</p>' in content


def is_own_onnx(content: bytes) -> bool:
    """Tell whether a graph was exported by this package."""
    # a graph begins with its format's version; an archive may hold one as it is
    return content.startswith(b'\x08') and ONNX_MARK.search(content) is not None


def is_own_package(content: bytes) -> bool:
    """Tell whether an archive is a BioImage.IO package of this package."""
    return content.startswith(b'PK') and content.endswith(PACKAGE_MARK)


def is_own_picture(content: bytes) -> bool:
    """Tell whether a PNG bears the mark of `mark_picture`."""
    return content.startswith(PNG_START) and PNG_MARK in content[:100]


def mark_picture(png: bytes) -> bytes:
    """Return an encoded PNG with a text in it that names this package."""
    length = len(PNG_MARK) - 4  # the four letters of the type do not count
    chunk = length.to_bytes(4, 'big') + PNG_MARK
    chunk += zlib.crc32(PNG_MARK).to_bytes(4, 'big')
    return png[:PNG_HEADER] + chunk + png[PNG_HEADER:]


def set_aside(folder: Path, name: str, why: str = 'changed') -> str:
    """Rename a result that somebody may have edited; returns the new name.

    Args:
        folder: Where it lies.
        name: Its name.
        why: What is added to it, with a number where that name is taken.
    """
    number, new = 1, f'{name}.{why}'
    while (folder / new).exists() or (folder / new).is_symlink():
        number += 1
        new = f'{name}.{why}{number}'
    (folder / name).rename(folder / new)
    return new


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class ListedFolder:
    """A folder with a list of what was written into it, ``.written_by_mmseg_ftu``.

    The list also has the SHA-256 of each file. One that somebody has edited since is
    renamed to ``<name>.changed`` before it is written again. Several processes may
    share the folder.

    Args:
        path: The folder; made when the first file is written, not before.

    Raises:
        ValueError: If it is not empty and has no such list, or is a file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.list = path, path / LIST
        if path.exists() and not path.is_dir():
            raise ValueError(f'{path} is a file: name a folder to write to')
        if not self.list.is_file() and not is_empty(path):
            raise ValueError(
                f'{path} is not empty and was not made by this tool: name a new folder'
            )
        remove_leftovers(path)
        self._digests: dict[str, str] = {}

    def write(self, name: str, write: Callable[[Path], None]) -> None:
        """Write a file, after noting that it is the tool's own.

        Args:
            name: Name of the file in the folder.
            write: Writes it to the path that it is given.

        Raises:
            ValueError: If there is a file of that name that the list does not hold.
        """
        path = self.path / name
        if name not in self._digests and self.list.is_file():  # or another process's
            self._read_list()
        is_there = path.exists() or path.is_symlink()
        if name not in self._digests:
            if is_there:
                raise ValueError(
                    f'{path} is in the way and was not written by this tool: move it '
                    'away, or name a new folder'
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            self._note(name)
        elif is_there and self._is_changed(name):
            kept = set_aside(self.path, name)
            print(f'{path} had been changed: kept as {kept}', file=sys.stderr)
        write(path)
        self._note(name, digest_of(path))

    def _is_changed(self, name: str) -> bool:
        """Tell whether somebody has changed a file since it was written."""
        path = self.path / name
        if path.is_symlink() or not path.is_file():
            return True
        found = digest_of(path)
        if self._digests[name] not in ('', found):
            self._read_list()  # another process may just have written it
        return self._digests[name] not in ('', found)

    def _read_list(self) -> None:
        """Read names and digests; the later of two entries of a name counts."""
        for line in self.list.read_text(encoding='utf-8').splitlines():
            name, _, digest = line.partition('\t')
            self._digests[name] = digest

    def _note(self, name: str, digest: str = '') -> None:
        with self.list.open('a', encoding='utf-8') as file:
            file.write(f'{name}\t{digest}\n')
        self._digests[name] = digest
