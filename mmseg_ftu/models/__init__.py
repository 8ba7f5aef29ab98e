"""Backbones, decode heads and the one-channel segmentor."""

from . import backbones, decode_heads
from .binary_segmentor import BinaryEncoderDecoder, BinarySegTTAModel

__all__ = ['BinaryEncoderDecoder', 'BinarySegTTAModel', 'backbones', 'decode_heads']
