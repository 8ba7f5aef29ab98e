"""Decode heads, registered in mmseg's ``MODELS``."""

from .daformer_head import DAFormerHead
from .unet_head import UNetHead

__all__ = ['DAFormerHead', 'UNetHead']
