"""Slim versions of the seven models of configs/ftu, and the one of the quickstart."""

from collections.abc import Iterable
from pathlib import Path

import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PYRAMID = dict(
    embed_dims=(16, 32, 40, 64),
    depths=(1, 1, 1, 1),
    num_heads=(1, 2, 5, 8),
    mlp_ratios=(2, 2, 2, 2),
)
COAT = dict(embed_dims=(16, *(24,) * 4), serial_depths=(1,) * 5, parallel_depth=1)
COAT_LITE = dict(embed_dims=(16, 24, 32, 40), serial_depths=(1, 1, 1, 1))
EFFICIENTNET = dict(arch='b0'), (24, 40, 112, 320)
RESNET = dict(depth=18), (64, 128, 256, 512)
# What changes in the backbone, and the widths of its maps. The operators stay.
BACKBONES = {
    'coat_daformer': (dict(arch=COAT), COAT['embed_dims']),
    'pvtv2_daformer': (dict(arch=PYRAMID), PYRAMID['embed_dims']),
    'mit_daformer': (dict(arch=PYRAMID), PYRAMID['embed_dims']),
    'enetb5_unet': EFFICIENTNET,
    'r101_unet': RESNET,
    'enetb5_dlv3plus': EFFICIENTNET,
    'r101_dlv3plus': RESNET,
    'quickstart': (dict(arch=COAT_LITE), COAT_LITE['embed_dims']),
}
NAMES = list(BACKBONES)
SEVEN = NAMES[:-1]


def slim_config(name: str) -> Config:
    """Return a slim copy of ``configs/ftu/NAME_aux.py``, or of the quickstart's."""
    quickstart = name == 'quickstart'
    path = 'tissue/coat_slim_daformer_aux.py' if quickstart else f'ftu/{name}_aux.py'
    cfg = Config.fromfile(CONFIGS / path)
    backbone, widths = BACKBONES[name]
    cfg.model.backbone.update(backbone, init_cfg=None)
    head = cfg.model.decode_head
    if 'dlv3plus' in name:
        head.update(in_channels=widths[-1], c1_in_channels=widths[0])
        head.update(channels=32, c1_channels=8)
    elif 'unet' in name:
        head.update(in_channels=list(widths), decoder_channels=[32, 16, 16, 8, 8])
    else:
        head.update(in_channels=list(widths), embed_channels=32, channels=32)
    cfg.model.auxiliary_head.in_channels = list(widths)
    return cfg


def build_slim(cfg: Config, images: Iterable[torch.Tensor]) -> nn.Module:
    """Build a model whose answers vary with the image.

    Its norms take the statistics of the images ``(N, 3, H, W)``, normalised: without
    them a deep random network amplifies rounding.
    """
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        model.decode_head.conv_seg.weight.normal_()
        for x in images:
            model(x)
        model.eval()
        largest = max(model(x).std() for x in images)
        model.decode_head.conv_seg.weight /= 2 * largest
    return model
