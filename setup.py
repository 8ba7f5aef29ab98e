"""What pyproject.toml cannot say: the package carries its configs for mim and mmengine."""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CARRIED = ('configs', 'tools', 'model-index.yml')


class BuildWithConfigs(build_py):
    """Put what ``mim`` reads into ``mmseg_ftu/.mim``.

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
            if self.editable_mode:
                os.symlink(Path('..', '..', name), target / name)
            elif (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns('__pycache__', '*.pyc')
                shutil.copytree(ROOT / name, target / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, target)


setup(cmdclass={'build_py': BuildWithConfigs})
