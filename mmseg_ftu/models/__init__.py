"""Backbones, decode heads, losses and the one-channel segmentor."""

from mmseg_ftu.models import backbones, decode_heads
from mmseg_ftu.models.binary_segmentor import BinaryEncoderDecoder, BinarySegTTAModel
from mmseg_ftu.models.losses import BinaryLoss
from mmseg_ftu.models.stain_data_preprocessor import StainDataPreProcessor

__all__ = [
    'BinaryEncoderDecoder',
    'BinaryLoss',
    'BinarySegTTAModel',
    'StainDataPreProcessor',
    'backbones',
    'decode_heads',
]
