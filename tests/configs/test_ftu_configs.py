"""Every config builds; the three of a model differ where they should and only there."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_ftu.switched_aux_loss import AuxiliaryHead

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
MODEL_NAMES = ['coat_daformer']
SUFFIXES = ['', '_aux', '_switch']
FILES = [f'{model}{suffix}.py' for model in MODEL_NAMES for suffix in SUFFIXES]


def load(name):
    return Config.fromfile(CONFIGS / 'ftu' / name)


def differences(left, right):
    keys = {*left, *right} - {'filename'}
    return {key for key in keys if left.get(key) != right.get(key)}


def test_these_files_are_there():
    assert sorted(p.name for p in (CONFIGS / 'ftu').glob('*.py')) == sorted(FILES)


@pytest.mark.parametrize('model', MODEL_NAMES)
def test_normal_and_aux_differ_in_the_auxiliary_head(model):
    normal, aux = load(f'{model}.py'), load(f'{model}_aux.py')
    assert differences(normal, aux) == {'model', 'aux_head', 'find_unused_parameters'}
    assert differences(normal.model, aux.model) == {'auxiliary_head'}
    head = aux.model.auxiliary_head
    assert (head.type, head.in_index, head.loss_weight) == ('AuxiliaryHead', 1, 0.2)


@pytest.mark.parametrize('model', MODEL_NAMES)
def test_aux_and_switch_differ_in_the_hook(model):
    aux, switch = load(f'{model}_aux.py'), load(f'{model}_switch.py')
    assert differences(aux, switch) == {'custom_hooks'}
    (hook,) = switch.custom_hooks
    assert hook.type == 'SwitchAuxHook'
    assert hook.schedule == [dict(begin=0, in_index=1), dict(begin=60, in_index=0)]
    assert switch.train_cfg.max_epochs == 120


@pytest.mark.parametrize('name', FILES)
def test_files_are_short(name):
    lines = (CONFIGS / 'ftu' / name).read_text().splitlines()
    assert len([line for line in lines if not line.startswith('#')]) <= 6


@pytest.mark.parametrize('name', [f'{m}_switch.py' for m in MODEL_NAMES])
def test_model_takes_one_step_and_predicts(name):
    cfg = load(name)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    head = model.auxiliary_head
    assert isinstance(head, AuxiliaryHead)
    assert [s.in_channels for s in head.stems] == list(model.backbone.out_channels)
    images = torch.randn(2, 3, 64, 96)
    maps = model.extract_feat(images)
    for index in range(len(maps)):
        head.in_index = index
        assert head(maps).shape == (2, 1, *maps[index].shape[-2:])
    result = model.eval().predict(images)
    assert result[0].seg_logits.data.shape == (1, 64, 96)


def test_paper_values_stand_in_the_base_files():
    cfg = load('coat_daformer_switch.py')
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=5e-5, weight_decay=0.01)
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.val_dataloader.batch_size == 8
    plateau = cfg.param_scheduler[0]
    assert (plateau.factor, plateau.patience) == (0.7, 5)
    assert plateau.monitor == 'val_loss_bce'
    assert cfg.default_hooks.checkpoint.save_best == 'Dice'


def test_wandb_is_one_option():
    cfg = load('coat_daformer.py')
    assert [b.type for b in cfg.visualizer.vis_backends] == [
        'LocalVisBackend',
        'TensorboardVisBackend',
    ]
    cfg.merge_from_dict({'visualizer.vis_backends.1.type': 'WandbVisBackend'})
    assert cfg.visualizer.vis_backends[1].type == 'WandbVisBackend'
