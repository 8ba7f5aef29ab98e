"""What pyproject.toml cannot say: the wheel carries configs for mim and mmengine."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """Copy what ``mim`` reads into ``mmseg_ftu/.mim`` of the wheel.

    These are the configs, the tools and the model index. mmengine finds the configs
    there too (``mmseg_ftu::ftu/coat_daformer.py``).
    """

    def run(self):
        """Build as usual, then add them."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / 'mmseg_ftu' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        for name in ('configs', 'tools'):
            shutil.copytree(
                ROOT / name,
                target / name,
                ignore=shutil.ignore_patterns('__pycache__', '*.pyc'),
            )
        shutil.copy(ROOT / 'model-index.yml', target)


setup(cmdclass={'build_py': BuildWithConfigs})
