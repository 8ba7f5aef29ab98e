"""Backbones, registered in mmseg's ``MODELS``.

All keep one contract: a list of maps, shallow to deep, with ``out_channels`` and
``strides``; any image size; weights that are loaded completely or not at all.
"""

from .coat import CoaT
from .efficientnet import EfficientNet
from .mit import MiT
from .pretrained import PretrainedBackbone
from .pvt_v2 import PVTv2
from .resnet import FTUResNet

__all__ = ['CoaT', 'EfficientNet', 'FTUResNet', 'MiT', 'PVTv2', 'PretrainedBackbone']
