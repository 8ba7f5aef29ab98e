"""What pyproject.toml cannot say: configs travel with the package, for mmengine."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CARRIED = ('configs', 'tools', 'model-index.yml')


class BuildWithConfigs(build_py):
    """Put into ``mmseg_ftu/.mim`` what mmengine and mim look for there.

    These are the configs, the tools and the model index. A config of the package is
    then known by its name (``mmseg_ftu::ftu/coat_daformer.py``). A wheel holds copies,
    an editable install links to the repository.
    """

    def run(self):
        """Build as usual, then add them."""
        super().run()
        base = ROOT if self.editable_mode else Path(self.build_lib)
        target = base / 'mmseg_ftu' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in CARRIED:
            if not (self.editable_mode and link(target / name)):
                copy(ROOT / name, target / name)


def link(path):
    """Link to the file of that name in the repository; tell whether it worked."""
    try:
        path.symlink_to(Path('..', '..', path.name))
    except OSError:  # Windows, without the right to
        return False
    return True


def copy(source, target):
    """Copy a file, or a folder without what Python left there."""
    if source.is_file():
        shutil.copy(source, target)
    else:
        ignored = shutil.ignore_patterns('__pycache__', '*.pyc')
        shutil.copytree(source, target, ignore=ignored)


setup(cmdclass={'build_py': BuildWithConfigs})
