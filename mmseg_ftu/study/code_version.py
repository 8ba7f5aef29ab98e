"""Which code a run is made with: the version, a digest of the sources, the commit."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from mmseg_ftu.version import __version__

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def source_digest() -> str:
    """Return a name for the Python sources of the package, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob('*.py')):
        name = path.relative_to(PACKAGE)
        if not name.parts[0].startswith('.'):
            digest.update(name.as_posix().encode() + b'\0' + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def commit() -> str:
    """Return the commit of the repository, ``+`` if it is changed; '' without one."""
    root = PACKAGE.parent
    if not (root / '.git').exists():
        return ''
    try:
        name = _git(root, 'rev-parse', '--short=12', 'HEAD')
        changed = _git(root, 'status', '--porcelain', '--', 'mmseg_ftu', 'configs')
    except (OSError, subprocess.CalledProcessError):
        return ''
    return name + '+' * bool(changed)


def describe_code() -> dict[str, str]:
    """Return version, digest of the sources and commit."""
    return dict(version=__version__, sources=source_digest(), commit=commit())


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ['git', '-C', str(root), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
