"""Decode heads, registered in mmseg's ``MODELS``."""

from mmseg_ftu.models.decode_heads.daformer_head import DAFormerHead
from mmseg_ftu.models.decode_heads.unet_head import UNetHead

__all__ = ['DAFormerHead', 'UNetHead']
