"""Decode heads, registered in mmseg's ``MODELS``."""

from mmseg_ftu.models.decode_heads.daformer_head import DAFormerHead
from mmseg_ftu.models.decode_heads.deeplabv3plus_head import DeepLabV3PlusHead
from mmseg_ftu.models.decode_heads.unet_head import UNetHead

__all__ = ['DAFormerHead', 'DeepLabV3PlusHead', 'UNetHead']
