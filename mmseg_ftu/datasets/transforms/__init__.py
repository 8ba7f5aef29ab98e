"""Pipeline transforms; importing registers them."""

from mmseg_ftu.datasets.transforms.restore_original_shape import RestoreOriginalShape
from mmseg_ftu.datasets.transforms.stain import StainAugment, StainNormalize
from mmseg_ftu.datasets.transforms.strict_albu import StrictAlbu

__all__ = ['RestoreOriginalShape', 'StainAugment', 'StainNormalize', 'StrictAlbu']
