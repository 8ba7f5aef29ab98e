"""mmseg_ftu: functional tissue units in histology, a plug-in for MMSegmentation 1.x.

Importing it registers everything in mmseg's own registries. The idea of the paper is in
``mmseg_ftu/switched_aux_loss.py``.
"""

from .dependencies import check_dependencies, quiet_imports
from .version import __version__

with quiet_imports():
    check_dependencies()
    from . import datasets, evaluation, models, resume, switched_aux_loss

__all__ = [
    '__version__',
    'datasets',
    'evaluation',
    'models',
    'resume',
    'switched_aux_loss',
]
