"""mmseg_ftu: functional tissue units in histology, a plug-in for MMSegmentation 1.x.

Importing it loads nothing heavy. ``mmseg_ftu.plugin`` registers everything in mmseg's
own registries; configs name it in ``custom_imports``. The idea of the paper is in
``mmseg_ftu/switched_aux_loss.py``.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmseg_ftu.version import __version__

if TYPE_CHECKING:
    from mmseg_ftu.inference import FTUPredictor

# albumentations would ask the network for updates when mmseg imports it
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

__all__ = ['FTUPredictor', '__version__']
ROOMS = (
    'datasets',
    'evaluation',
    'inference',
    'models',
    'preparation',
    'report',
    'stain',
)


def __getattr__(name: str) -> Any:
    """Import the predictor, and with it torch, or a room when it is asked for."""
    if name == 'FTUPredictor':
        from mmseg_ftu.inference import FTUPredictor

        return FTUPredictor
    if name in ROOMS:
        return import_module(f'{__name__}.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


# Configs and scripts of before `plugin` name the package alone, with OpenMMLab there.
if any(sys.modules.get(name) for name in ('mmseg', 'mmengine.config')):
    from mmseg_ftu import plugin  # noqa: F401
