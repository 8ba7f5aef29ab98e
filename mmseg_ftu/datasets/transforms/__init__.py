"""Pipeline transforms; importing registers them."""

from .restore_original_shape import RestoreOriginalShape
from .strict_albu import StrictAlbu

__all__ = ['RestoreOriginalShape', 'StrictAlbu']
