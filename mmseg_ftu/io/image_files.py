"""Which files of a folder are images; those that are skipped are named."""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path

from mmseg_ftu.io.launched_as import launched_as

SHOWN = 5  # names in a message


def take_images(
    paths: Iterable[Path], suffixes: Collection[str], place: str | Path
) -> list[Path]:
    """Return the paths that are to be read as images.

    Some paths have an image's suffix but are not taken: hidden files, such as
    ``._a.png`` of macOS, folders, and special files, such as a pipe, which would never
    end. One line on stderr names them; the first of several processes writes it. A link
    to nothing is taken, so that it fails by name.

    Args:
        paths: The candidates.
        suffixes: Suffixes of images, in small letters, such as ``.png``.
        place: Place where the candidates were found, for the message.

    Returns:
        The images, in the order given.
    """
    named = [path for path in paths if path.suffix.lower() in suffixes]
    reasons = {path: _why_not(path) for path in named}
    skipped = [f'{path.name} ({why})' for path, why in reasons.items() if why]
    if skipped and launched_as()[0] == 0:
        shown = ', '.join(skipped[:SHOWN]) + (', ...' if len(skipped) > SHOWN else '')
        verb = 'is' if len(skipped) == 1 else 'are'
        print(
            f'note: {place}: {len(skipped)} with the suffix of an image {verb} '
            f'skipped: {shown}',
            file=sys.stderr,
        )
    return [path for path in named if reasons[path] is None]


def _why_not(path: Path) -> str | None:
    """Say why a path is not an image, None if it may be one."""
    if path.name.startswith('.'):
        return 'hidden'
    if path.is_dir():
        return 'a folder'
    if path.is_file() or (path.is_symlink() and not path.exists()):
        return None
    return 'no regular file'
