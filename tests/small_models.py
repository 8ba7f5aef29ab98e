"""Small segmentors, their configs and checkpoints, for tests of prediction.

Also imported by the processes that tests start, through ``custom_imports``.
"""

import json
import math
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from sections import section
from torch import nn

from mmseg_ftu.stain import VahadaneNormalizer

STAINS = [0.55, 0.78, 0.30], [0.10, 0.95, 0.29]  # of a target, other than a section's
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


@MODELS.register_module(force=True)
class OneConvolution(BaseModule):
    """A backbone of one convolution; FTU_TEST_DELAY (s) makes it slow.

    Images are padded to multiples of the stride that it declares; it keeps their size.
    """

    def __init__(self, kernel_size=3, channels=4, stride=1, init_cfg=None):
        super().__init__(init_cfg)
        self.out_channels, self.strides = [channels], [stride]
        self.conv = nn.Conv2d(3, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x):
        time.sleep(float(os.environ.get('FTU_TEST_DELAY', 0)))
        return [self.conv(x).tanh()]


def small_config(kernel_size=3, out_channels=1, **overrides) -> Config:
    """Return the config of a model of two layers."""
    one = out_channels == 1
    head = dict(
        type='FCNHead',
        in_channels=4,
        in_index=0,
        channels=4,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=2,
        out_channels=out_channels,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=one, avg_non_ignore=True),
    )
    cfg = Config(
        dict(
            default_scope='mmseg',
            custom_imports=dict(
                imports=['mmseg_ftu.plugin', 'small_models'], allow_failed_imports=False
            ),
            model=dict(
                type='BinaryEncoderDecoder' if one else 'EncoderDecoder',
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=MEAN,
                    std=STD,
                    bgr_to_rgb=True,
                    size_divisor=1,
                ),
                backbone=dict(type='OneConvolution', kernel_size=kernel_size),
                decode_head=head | (dict(threshold=0.5) if one else {}),
                train_cfg=dict(),
                test_cfg=dict(mode='whole'),
            ),
        )
    )
    cfg.merge_from_dict(overrides)
    return cfg


def build_small(cfg: Config, seed: int = 0) -> nn.Module:
    """Build the model with random weights; its answers vary with the image."""
    init_default_scope('mmseg')  # fixtures of a module come before that of each test
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        model.backbone.conv.weight.normal_()
        model.decode_head.conv_seg.weight.normal_(std=2)
    return model


def constant(cfg: Config, probability: float) -> nn.Module:
    """Build the model that says the same everywhere."""
    model = build_small(cfg)
    with torch.no_grad():
        model.decode_head.conv_seg.weight.zero_()
        model.decode_head.conv_seg.bias.fill_(math.log(probability / (1 - probability)))
    return model


def dark(cfg: Config, level: float = 160.5, sharpness: float = 0.2) -> nn.Module:
    """Build the model that finds what is darker than a grey level, pixel by pixel."""
    model = build_small(cfg)
    conv, last = model.backbone.conv, model.decode_head.conv_seg
    with torch.no_grad():
        for parameter in (conv.weight, conv.bias, last.weight, last.bias):
            parameter.zero_()
        middle = conv.kernel_size[0] // 2
        weight = torch.tensor(STD) * sharpness / 300
        conv.weight[0, :, middle, middle] = -weight
        offset = (torch.tensor(MEAN) - level) / torch.tensor(STD)
        conv.bias[0] = -(weight * offset).sum()
        last.weight[0, 0] = 100
    return model


def save(model: nn.Module, path: Path, **dataset_meta) -> Path:
    """Write a checkpoint as mmengine does."""
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dataset_meta)), path
    )
    return path


def noise(height=70, width=90, seed=0):
    """Smooth noise: nothing in it is symmetric."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.blur(image, (5, 5)).reshape(image.shape)


def section_target(path: Path) -> Path:
    """Write a stain target other than the stains of `section`."""
    normalizer = VahadaneNormalizer().fit(section(seed=9, stains=STAINS))
    path.write_text(json.dumps(normalizer.state_dict()))
    return path
