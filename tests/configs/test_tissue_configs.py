"""Recipes for one's own tissue: three of each, which build and take a step."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
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
FOR_GPUS = ['coat_lite_medium_daformer', 'pvtv2_b2_daformer']
DEEP = ['lite0_unet', 'resnet18_unet']
ALL = ['coat_slim_daformer', *RECIPES, *FOR_GPUS]
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


@pytest.mark.parametrize('name', mostly_slow([*RECIPES, *FOR_GPUS], ['resnet18_unet']))
def test_builds_and_takes_a_step(name):
    model = build(load(f'{name}_switch')).train()
    losses = model.forward(**model.data_preprocessor(batch(), True), mode='loss')
    assert set(losses) == LOSSES | {'aux.loss_bce'}
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize('name', FOR_GPUS)
def test_a_pretrained_encoder_learns_slowly(name):
    cfg = load(f'{name}_switch')
    model = build(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rates = {id(p): g['lr'] for g in optimizer.param_groups for p in g['params']}
    for key, parameter in model.named_parameters():
        expected = 1e-4 if key.startswith('backbone.') else 1e-3
        assert rates[id(parameter)] == pytest.approx(expected), key


@pytest.mark.parametrize('name', [*RECIPES, *FOR_GPUS])
@pytest.mark.parametrize('epochs', [20, 60, 200])
def test_the_schedule_ends_with_the_run(name, epochs):
    cfg = load(name)
    scale_epochs(cfg, epochs)
    warm_up, cosine = cfg.param_scheduler
    assert warm_up.end == cosine.begin == epochs // 20
    assert cosine.end == cfg.train_cfg.max_epochs == epochs


SHAPES = [(261, 387), (100, 500), (64, 64), (2, 3)]


@pytest.mark.parametrize('shape', SHAPES)
def test_crops_of_any_image(tmp_path, shape):
    """Smaller images are mirrored, their masks with them."""
    mask = (np.random.default_rng(0).random(shape) < 0.5).astype(np.uint8)
    bright, labels = crop(tmp_path, mask, 'resnet18_unet')
    assert bright.shape == (224, 224)
    assert torch.equal(bright, labels == 1)


@pytest.mark.parametrize('shape', SHAPES)
def test_zoomed_and_bent_crops_of_any_image(tmp_path, shape):
    """Images are interpolated and masks are not, so edges differ by a pixel."""
    coarse = np.random.default_rng(0).random((shape[0] // 40 + 1, shape[1] // 40 + 1))
    mask = np.kron(coarse < 0.5, np.ones((40, 40)))[: shape[0], : shape[1]]
    bright, labels = crop(tmp_path, mask.astype(np.uint8), 'pvtv2_b2_daformer')
    assert bright.shape == (512, 512)
    assert (bright == (labels == 1)).float().mean() > 0.95


def crop(folder, mask, name):
    """Return bright pixels (h, w) and labels (h, w) after a recipe's pipeline."""
    cv2.imwrite(str(folder / 'a.png'), np.dstack([mask * 150 + 40] * 3))
    cv2.imwrite(str(folder / 'm.png'), mask)
    sample = dict(
        img_path=str(folder / 'a.png'),
        seg_map_path=str(folder / 'm.png'),
        reduce_zero_label=False,
        seg_fields=[],
    )
    for entry in load(name).train_pipeline:
        sample = TRANSFORMS.build(entry)(sample)
    labels = sample['data_samples'].gt_sem_seg.data[0]
    assert {*labels.unique().tolist()} <= {0, 1}
    # 40 and 190, up to 15 % more or less
    return sample['inputs'].float().mean(0) > 100, labels
