"""Every variant builds, takes a step, and changes what its name says."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from one_step import batch, build
from quick_and_slow import mostly_slow

VARIANTS = Path(__file__).resolve().parents[2] / 'configs' / 'variants'
NAMES = [
    'coat_daformer_aux_all',
    'coat_daformer_switch_0_to_1',
    'coat_daformer_switch_2_to_1',
    'coat_lite_medium_sep_aspp_switch',
    'convnext_small_daformer_switch',
    'efficientnet_lite0_unet_switch',
    'pvtv2_b4_conv3x3_switch',
    'r101_light_dlv3plus_switch',
    'segformer_b4_960',
]


def load(name):
    return Config.fromfile(VARIANTS / f'{name}.py')


QUICK = ['efficientnet_lite0_unet_switch', 'pvtv2_b4_conv3x3_switch']


def test_these_files_are_there():
    assert sorted(p.stem for p in VARIANTS.glob('*.py')) == NAMES


@pytest.mark.parametrize('name', mostly_slow(NAMES, QUICK))
def test_builds_and_takes_a_step(name):
    model = build(load(name))
    losses = model.forward(**model.data_preprocessor(batch(), True), mode='loss')
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    expected = {
        'coat_daformer_aux_all': {f'aux_{i}.loss_bce' for i in range(5)},
        'segformer_b4_960': {'decode.loss_lovasz'},
    }.get(name, {'aux.loss_bce'})
    assert set(losses) == {'decode.loss_bce'} | expected


@pytest.mark.parametrize(('first', 'second'), [(0, 1), (2, 1)])
def test_directions(first, second):
    (hook,) = load(f'coat_daformer_switch_{first}_to_{second}').custom_hooks
    assert [p['in_index'] for p in hook.schedule] == [first, second]
    assert [p['begin'] for p in hook.schedule] == [0, 60]


def test_all_stages_share_the_weight_of_one():
    heads = load('coat_daformer_aux_all').model.auxiliary_head
    assert [head.in_index for head in heads] == [0, 1, 2, 3, 4]
    assert sum(head.loss_weight for head in heads) == pytest.approx(0.2)


def test_960_reaches_every_pipeline():
    cfg = load('segformer_b4_960')
    assert cfg.data_root == 'data/hubmap_960x960'
    for kind in ('train', 'val', 'test'):
        dataset = cfg[f'{kind}_dataloader'].dataset
        assert dataset.data_root == cfg.data_root
        text = str(dataset.pipeline)
        assert '960' in text
        assert '768' not in text
    assert '960' in str(cfg.tta_pipeline)
    assert '768' not in str(cfg.tta_pipeline)
