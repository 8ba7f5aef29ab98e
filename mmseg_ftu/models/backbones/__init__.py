"""Backbones, registered in mmseg's ``MODELS``."""

from .coat import CoaT
from .pretrained import PretrainedBackbone

__all__ = ['CoaT', 'PretrainedBackbone']
