"""Build the model of a config and one batch for it; shared by tests of configs."""

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn


def build(cfg: Config) -> nn.Module:
    """Build a model without its pretrained weights, on a fixed seed."""
    assert cfg.load_from is None
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model


def batch(size: tuple[int, int] = (64, 128)) -> dict:
    """Return two noisy images and masks as a data loader does."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *size), generator=generator).float()
    samples = []
    for image in images:
        mask = (image[:1] > 128).long()
        sample = SegDataSample(gt_sem_seg=PixelData(data=mask))
        sample.set_metainfo(dict(img_shape=size, ori_shape=size, pad_shape=size))
        samples.append(sample)
    return dict(inputs=list(images.to(torch.uint8)), data_samples=samples)
