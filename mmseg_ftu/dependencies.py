"""Refuse libraries that cannot carry the plug-in, and say what to install."""

import importlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from packaging.version import Version

# (first version that works, first that is not known to, name on the package index).
# The lower bounds are what OpenMMLab's mmsegmentation 1.2.2 asks for, its last release
# before the maintained OneDL line took over; pyproject.toml installs the latter.
SUPPORTED = {
    'mmengine': ('0.10.3', '1.0', 'onedl-mmengine'),
    'mmcv': ('2.0.0rc4', '3.0', 'onedl-mmcv'),
    'mmseg': ('1.2.2', '2.0', 'onedl-mmsegmentation'),
}
# Said by the libraries while they are imported; harmless, but a user sees them first.
EXPECTED_OUTPUT = 'Could not import OneDL'
EXPECTED_WARNING = 'Fail to import ``MultiScaleDeformableAttention``'


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Hide the two harmless import messages of the OneDL line, and nothing else."""
    printed = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(printed):
            warnings.filterwarnings('ignore', message=EXPECTED_WARNING)
            yield
    finally:
        for line in printed.getvalue().splitlines():
            if EXPECTED_OUTPUT not in line:
                print(line)


def check_dependencies() -> None:
    """Import mmengine, mmcv and mmseg.

    Raises:
        ImportError: If one is missing, too old, too new or broken.
    """
    for name, (lowest, limit, package) in SUPPORTED.items():
        advice = (
            f'mmseg_ftu needs {name} >= {lowest}, < {limit}: '
            f"pip install '{package}' (the OneDL line; uninstall "
            "OpenMMLab's own mmengine, mmcv and mmsegmentation first, they share the "
            'import names)'
        )
        try:
            module = importlib.import_module(name)
            if name == 'mmseg':
                importlib.import_module('mmseg.models')
        except Exception as error:
            raise ImportError(
                f'{name} can not be imported ({error}). {advice}'
            ) from error
        version = Version(module.__version__)
        if not Version(lowest) <= version < Version(limit):
            raise ImportError(f'{name} {version} is installed. {advice}')
