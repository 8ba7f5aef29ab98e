"""Which parameters are whose, against the names of each network, written by hand."""

import re

import pytest
import torch
from mmseg.registry import MODELS
from slim_models import COAT, COAT_LITE, PYRAMID

from mmseg_ftu.engine.encoder_stages import SHARED, stage_parameters

TIMM_VIT = dict(embed_dim=48, depth=8, num_heads=4)
# Backbone, and a pattern for the names of each of its stages.
NETWORKS = {
    'CoaT-Lite': (
        dict(type='CoaT', arch=COAT_LITE),
        [rf'(cls_token|patch_embed|cpe|crpe|serial_blocks){k}\b' for k in (1, 2, 3, 4)],
    ),
    'CoaT': (
        dict(type='CoaT', arch=COAT, drop_path_rate=0.2, with_cp=True),
        [
            rf'(cls_token|patch_embed|cpe|crpe|serial_blocks){k}\b'
            for k in (1, 2, 3, 4, 5)
        ]
        + ['parallel_blocks'],
    ),
    'MiT': (dict(type='MiT', arch=PYRAMID), [rf'stages\.{k}\.' for k in range(4)]),
    'PVTv2': (dict(type='PVTv2', arch=PYRAMID), [rf'stages\.{k}\.' for k in range(4)]),
    'FTUResNet': (
        dict(type='FTUResNet', depth=18, with_cp=True),
        ['conv1|bn1|layer1', 'layer2', 'layer3', 'layer4'],
    ),
    'EfficientNet': (
        dict(type='EfficientNet', arch='b0'),
        [r'net\.(conv_stem|bn1|blocks\.[01]\.)', r'net\.blocks\.2\.']
        + [r'net\.blocks\.[34]\.', r'net\.blocks\.[56]\.'],
    ),
    'timm ResNet': (
        dict(type='TimmEncoder', model_name='resnet18'),
        [r'net\.(conv1|bn1|layer1)', *(rf'net\.layer{k}' for k in (2, 3, 4))],
    ),
    'timm ConvNeXt': (  # a reduction is part of the stage that follows it
        dict(type='TimmEncoder', model_name='convnext_atto'),
        [r'net\.(stem|stages\.0)', *(rf'net\.stages\.{k}\.' for k in (1, 2, 3))],
    ),
    'timm Swin': (
        dict(
            type='TimmEncoder',
            model_name='swin_tiny_patch4_window7_224',
            model_args=dict(embed_dim=24, depths=(1, 2, 2, 1), num_heads=(1, 2, 3, 6)),
        ),
        [r'net\.(patch_embed|layers\.0)', *(rf'net\.layers\.{k}\.' for k in (1, 2, 3))],
    ),
    'timm ViT': (
        dict(
            type='TimmEncoder',
            model_name='vit_tiny_patch16_224',
            model_args=TIMM_VIT,
            pyramid_channels=32,
        ),
        [
            r'net\.(cls_token|pos_embed|patch_embed|blocks\.[01])|pyramid\.levels\.0',
            r'net\.blocks\.[23]|pyramid\.levels\.1',
            r'net\.blocks\.[45]|pyramid\.levels\.2',
            r'net\.blocks\.[67]|pyramid\.levels\.3',
        ],
    ),
    'frozen': (
        dict(type='TimmEncoder', model_name='resnet18', freeze=2),
        ['nothing', 'nothing', r'net\.layer3', r'net\.layer4'],
    ),
}


def built(name):
    torch.manual_seed(0)
    backbone = MODELS.build(NETWORKS[name][0])
    return backbone, backbone(torch.randn(2, 3, 64, 64))


@pytest.mark.parametrize('name', NETWORKS)
def test_each_parameter_is_in_its_stage(name):
    backbone, maps = built(name)
    groups = stage_parameters(backbone, maps)
    places = {id(p): n for n, p in backbone.named_parameters()}
    patterns = NETWORKS[name][1]
    titles = [f'stage_{k}' for k in range(len(maps))] + [SHARED]
    for title, pattern in zip(titles, patterns, strict=False):
        found = {places[id(p)] for p in groups.pop(title, [])}
        trained = {n for n, p in backbone.named_parameters() if p.requires_grad}
        assert found == {n for n in trained if re.match(pattern, n)}, title
    assert groups == {}


@pytest.mark.parametrize('name', ['CoaT-Lite', 'MiT'])
def test_names_and_dependency_agree(name):
    """CoaT says its stages by name; without parallel blocks the graph says the same."""
    backbone, maps = built(name)
    known = stage_parameters(backbone, maps)
    backbone.stage_of = None
    assert ids(stage_parameters(backbone, maps)) == ids(known)


def ids(groups):
    return {title: {id(p) for p in members} for title, members in groups.items()}


def test_all_is_counted_once():
    backbone, maps = built('CoaT')
    members = [p for group in stage_parameters(backbone, maps).values() for p in group]
    assert len({id(p) for p in members}) == len(members)
    assert len(members) == len(list(backbone.parameters()))
