"""Decode heads, registered in mmseg's ``MODELS``."""

from .daformer_head import DAFormerHead

__all__ = ['DAFormerHead']
