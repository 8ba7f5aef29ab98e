"""Pipeline transforms; importing registers them."""

from .restore_original_shape import RestoreOriginalShape
from .stain import StainAugment, StainNormalize
from .strict_albu import StrictAlbu

__all__ = ['RestoreOriginalShape', 'StainAugment', 'StainNormalize', 'StrictAlbu']
