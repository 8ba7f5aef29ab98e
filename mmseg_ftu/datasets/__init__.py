"""Prepared data: dataset, seeding, transforms; importing registers them."""

import os

# Albumentations asks the network for updates when it is first imported, which
# mmseg.datasets does already.
os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')

from .at_least_two_batch_sampler import AtLeastTwoBatchSampler
from .hubmap import HuBMAPDataset
from .same_shape_batch_sampler import SameShapeBatchSampler
from .seeding import EpochSeededSampler, SeededPipelineMixin
from .transforms import RestoreOriginalShape, StrictAlbu

__all__ = [
    'AtLeastTwoBatchSampler',
    'EpochSeededSampler',
    'HuBMAPDataset',
    'RestoreOriginalShape',
    'SameShapeBatchSampler',
    'SeededPipelineMixin',
    'StrictAlbu',
]
