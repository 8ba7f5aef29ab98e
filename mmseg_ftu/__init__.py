"""mmseg_ftu: functional tissue units in histology, a plug-in for MMSegmentation 1.x.

Importing it registers everything in mmseg's own registries, and lets mmengine read
checkpoints only in ways that run no code from them. The idea of the paper is in
``mmseg_ftu/switched_aux_loss.py``.
"""

import os

from .dependencies import check_dependencies, quiet_imports
from .version import __version__

# albumentations would ask the network for updates when mmseg imports it
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

with quiet_imports():
    check_dependencies()
    from . import (
        check_finite_loss_hook,
        check_stain_hook,
        datasets,
        evaluation,
        inference,
        keep_preparation_hook,
        models,
        resume,
        switched_aux_loss,
        visualizer,
    )
    from .checkpoint_schemes import refuse_unsafe_checkpoints
    from .inference import FTUPredictor

# also for what mmseg's and mmengine's own functions load from now on
refuse_unsafe_checkpoints()

__all__ = [
    'FTUPredictor',
    '__version__',
    'check_finite_loss_hook',
    'check_stain_hook',
    'datasets',
    'evaluation',
    'inference',
    'keep_preparation_hook',
    'models',
    'resume',
    'switched_aux_loss',
    'visualizer',
]
