"""Files that are written piece by piece and yet appear in one step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file that becomes ``path`` at the end.

    After an exception it is removed and an older file stays; a killed process leaves
    at most the temporary file, ``.<name>.tmp``, which the next run overwrites.
    """
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        yield temporary
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())  # else a power cut may keep the name without bytes
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
