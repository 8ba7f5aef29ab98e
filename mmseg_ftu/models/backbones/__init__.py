"""Backbones, registered in mmseg's ``MODELS``.

All keep one contract: a list of maps, shallow to deep, with ``out_channels`` and
``strides``; any image size; weights that are loaded completely or not at all.
"""

from mmseg_ftu.models.backbones.coat import CoaT
from mmseg_ftu.models.backbones.efficientnet import EfficientNet
from mmseg_ftu.models.backbones.mit import MiT
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.pvt_v2 import PVTv2
from mmseg_ftu.models.backbones.resnet import FTUResNet
from mmseg_ftu.models.backbones.timm_encoder import TimmEncoder

__all__ = [
    'CoaT',
    'EfficientNet',
    'FTUResNet',
    'MiT',
    'PVTv2',
    'PretrainedBackbone',
    'TimmEncoder',
]
