"""Backbones, decode heads, losses and the one-channel segmentor."""

from . import backbones, decode_heads
from .binary_segmentor import BinaryEncoderDecoder, BinarySegTTAModel
from .losses import BinaryLoss

__all__ = [
    'BinaryEncoderDecoder',
    'BinaryLoss',
    'BinarySegTTAModel',
    'backbones',
    'decode_heads',
]
