"""Recipes for one's own tissue: three of each, which build and take a step."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import TRANSFORMS
from one_step import batch, build
from quick_and_slow import mostly_slow

from mmseg_ftu.engine.scale_epochs import scale_epochs

TISSUE = Path(__file__).resolve().parents[2] / 'configs' / 'tissue'
RECIPES = [
    'lite0_unet',
    'lite0_unet_small',
    'mit_b0_daformer',
    'pvtv2_b0_daformer',
    'resnet18_unet',
]
DEEP = ['lite0_unet', 'resnet18_unet']
ALL = ['coat_slim_daformer', *RECIPES]
LOSSES = {'decode.loss_bce', 'decode.loss_dice'}


def load(name):
    return Config.fromfile(TISSUE / f'{name}.py')


def differences(left, right):
    keys = {*left, *right} - {'filename'}
    return {key for key in keys if left.get(key) != right.get(key)}


def test_these_files_are_there():
    expected = {f'{name}{end}.py' for name in ALL for end in ('', '_aux', '_switch')}
    expected |= {f'{name}_all_stages.py' for name in DEEP}
    assert {path.name for path in TISSUE.glob('*.py')} == expected


@pytest.mark.parametrize('name', ALL)
def test_the_switch_is_one_line_away(name):
    normal, aux, switch = (load(name + end) for end in ('', '_aux', '_switch'))
    assert differences(normal, aux) == {'model', 'aux_head', 'find_unused_parameters'}
    assert differences(normal.model, aux.model) == {'auxiliary_head'}
    assert differences(aux, switch) == {'custom_hooks'}
    assert [phase.in_index for phase in switch.custom_hooks[0].schedule] == [1, 0]


@pytest.mark.parametrize('name', DEEP)
def test_all_stages_are_one_line_away(name):
    aux, deep = load(f'{name}_aux'), load(f'{name}_all_stages')
    assert differences(aux, deep) == {'custom_hooks'}
    (phase,) = deep.custom_hooks[0].schedule
    assert phase.in_index == [0, 1, 2, 3]
    assert sum(phase.loss_weight) == pytest.approx(0.2)


@pytest.mark.parametrize('name', mostly_slow(RECIPES, ['resnet18_unet']))
def test_builds_and_takes_a_step(name):
    model = build(load(f'{name}_switch')).train()
    losses = model.forward(**model.data_preprocessor(batch(), True), mode='loss')
    assert set(losses) == LOSSES | {'aux.loss_bce'}
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize('name', RECIPES)
@pytest.mark.parametrize('epochs', [20, 60, 200])
def test_the_schedule_ends_with_the_run(name, epochs):
    cfg = load(name)
    scale_epochs(cfg, epochs)
    warm_up, cosine = cfg.param_scheduler
    assert warm_up.end == cosine.begin == epochs // 20
    assert cosine.end == cfg.train_cfg.max_epochs == epochs


@pytest.mark.parametrize('shape', [(261, 387), (100, 500), (64, 64), (2, 3)])
def test_crops_of_any_image(tmp_path, shape):
    """Smaller images are mirrored, their masks with them."""
    rng = np.random.default_rng(0)
    mask = (rng.random(shape) < 0.5).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), np.dstack([mask * 150 + 40] * 3))
    cv2.imwrite(str(tmp_path / 'm.png'), mask)
    sample = dict(
        img_path=str(tmp_path / 'a.png'),
        seg_map_path=str(tmp_path / 'm.png'),
        reduce_zero_label=False,
        seg_fields=[],
    )
    for entry in load('resnet18_unet').train_pipeline:
        sample = TRANSFORMS.build(entry)(sample)
    image, labels = sample['inputs'], sample['data_samples'].gt_sem_seg.data
    assert image.shape == (3, 224, 224)
    assert {*labels.unique().tolist()} <= {0, 1}
    bright = image.float().mean(0) > 100  # 40 and 190, up to 15 % more or less
    assert torch.equal(bright, labels[0] == 1)
