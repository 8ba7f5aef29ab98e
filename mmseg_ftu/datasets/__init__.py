"""Prepared data: dataset, samplers, seeding, transforms.

``mmseg_ftu.plugin`` imports the modules, which registers them.
"""

from importlib import import_module
from typing import Any

MODULES = {
    'AtLeastTwoBatchSampler': 'at_least_two_batch_sampler',
    'EpochSeededSampler': 'seeding',
    'HuBMAPDataset': 'hubmap',
    'RestoreOriginalShape': 'transforms',
    'SameShapeBatchSampler': 'same_shape_batch_sampler',
    'SeededPipelineMixin': 'seeding',
    'StrictAlbu': 'transforms',
}
__all__ = [*MODULES]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and with it OpenMMLab."""
    if name in MODULES:
        return getattr(import_module(f'{__name__}.{MODULES[name]}'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
