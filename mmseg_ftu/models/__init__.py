"""Backbones, decode heads, losses and the one-channel segmentor."""

from . import backbones, decode_heads
from .binary_segmentor import BinaryEncoderDecoder, BinarySegTTAModel
from .losses import BinaryLoss
from .stain_data_preprocessor import StainDataPreProcessor

__all__ = [
    'BinaryEncoderDecoder',
    'BinaryLoss',
    'BinarySegTTAModel',
    'StainDataPreProcessor',
    'backbones',
    'decode_heads',
]
