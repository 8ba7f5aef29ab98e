"""Print the notes of a release: the section of the changelog for a tag.

The release workflow calls it with the tag (``python .github/release_notes.py v1.2.3``);
it refuses a tag that is not the package's version, and a section without a date.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r'^## \[(?P<version>[^]]+)\] - (?P<date>.+)$', re.MULTILINE)


def version_of(source: str) -> str:
    """Return the version that the text of ``mmseg_ftu/version.py`` gives."""
    return re.search(r"^__version__ = '(.+)'$", source, re.MULTILINE)[1]


def notes_of(changelog: str, version: str) -> str:
    """Return the section of a version in a changelog, without its heading.

    Args:
        changelog: Text of ``CHANGELOG.md``.
        version: Version without the ``v``.

    Raises:
        ValueError: If the version has no section, no date or no notes.
    """
    headings = list(HEADING.finditer(changelog))
    found = [n for n, h in enumerate(headings) if h['version'] == version]
    if len(found) != 1:
        raise ValueError(
            f'CHANGELOG.md has {len(found)} sections [{version}], and one is needed'
        )
    heading, *later = headings[found[0] :]
    if not re.fullmatch(r'\d{4}-\d\d-\d\d', heading['date']):
        raise ValueError(
            f'CHANGELOG.md: [{version}] is dated {heading["date"]!r}; give the day '
            'of the release, as in 2026-05-31'
        )
    end = later[0].start() if later else len(changelog)
    notes = changelog[heading.end() : end].strip()
    if not notes:
        raise ValueError(f'CHANGELOG.md: the section [{version}] is empty')
    return notes


def release_notes(tag: str, root: Path = ROOT) -> str:
    """Return the notes for a tag of the repository.

    Args:
        tag: ``v`` and the version.
        root: Folder of the repository.

    Raises:
        ValueError: If the tag is of another version, or as `notes_of` does.
    """
    version = version_of((root / 'mmseg_ftu' / 'version.py').read_text())
    if tag != f'v{version}':
        raise ValueError(
            f'the tag is {tag}, the version of the package {version}: raise it in '
            'mmseg_ftu/version.py, or tag the commit that did'
        )
    return notes_of((root / 'CHANGELOG.md').read_text(), version)


if __name__ == '__main__':
    try:
        print(release_notes(sys.argv[1]))
    except ValueError as error:
        raise SystemExit(f'error: {error}') from error
