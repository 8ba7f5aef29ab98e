"""Every config builds; the three of a model differ where they should and only there."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from one_step import batch, build
from quick_and_slow import mostly_slow

from mmseg_ftu.switched_aux_loss import AuxiliaryHead

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
# Widths of the stages that the auxiliary head can read.
STAGE_CHANNELS = {
    'coat_daformer': [152, 320, 320, 320, 320],
    'pvtv2_daformer': [64, 128, 320, 512],
    'mit_daformer': [64, 128, 320, 512],
    'enetb5_unet': [40, 64, 176, 512],
    'r101_unet': [256, 512, 1024, 2048],
    'enetb5_dlv3plus': [40, 64, 176, 512],
    'r101_dlv3plus': [256, 512, 1024, 2048],
}
MODEL_NAMES = list(STAGE_CHANNELS)
SUFFIXES = ['', '_aux', '_switch']
FILES = [f'{model}{suffix}.py' for model in MODEL_NAMES for suffix in SUFFIXES]


def load(name):
    return Config.fromfile(CONFIGS / 'ftu' / name)


def differences(left, right):
    keys = {*left, *right} - {'filename'}
    return {key for key in keys if left.get(key) != right.get(key)}


def test_these_files_are_there():
    assert sorted(p.name for p in (CONFIGS / 'ftu').glob('*.py')) == sorted(FILES)
    assert len(FILES) == 21


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


QUICK = ['mit_daformer.py', 'r101_dlv3plus_aux.py']


@pytest.mark.parametrize('name', mostly_slow(FILES, QUICK))
def test_each_config_takes_one_step_and_predicts(name):
    model = build(load(name))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = [p.detach().clone() for p in model.decode_head.parameters()]
    losses = model.forward(**model.data_preprocessor(batch(), True), mode='loss')
    expected = {'decode.loss_bce'}
    if '_aux' in name or '_switch' in name:
        expected.add('aux.loss_bce')
    assert set(losses) == expected
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()
    optimizer.step()
    after = list(model.decode_head.parameters())
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    model.eval()
    with torch.no_grad():
        result = model.test_step(batch())
    probability = result[0].seg_logits.data
    assert probability.shape == (1, 64, 128)
    assert 0 <= probability.min() <= probability.max() <= 1


@pytest.mark.parametrize('model', mostly_slow(MODEL_NAMES, ['mit_daformer']))
def test_the_auxiliary_head_reads_every_stage_at_its_width(model):
    cfg = load(f'{model}_switch.py')
    assert list(cfg.stage_channels) == STAGE_CHANNELS[model]
    built = build(cfg)
    head = built.auxiliary_head
    assert isinstance(head, AuxiliaryHead)
    assert list(built.backbone.out_channels) == STAGE_CHANNELS[model]
    assert [s.in_channels for s in head.stems] == STAGE_CHANNELS[model]
    assert built.backbone.strides[:2] == [4, 8]  # blocks 1 and 2 of the paper
    with torch.no_grad():
        maps = built.eval().extract_feat(torch.randn(1, 3, 64, 96))
        for index, stride in enumerate(built.backbone.strides):
            head.in_index = index
            (logits,) = head(maps)
            assert logits.shape == (1, 1, -(-64 // stride), -(-96 // stride))


def test_what_all_models_share_stands_in_one_file():
    models = sorted((CONFIGS / '_base_' / 'models').glob('*.py'))
    small = ['unet_lite0']  # an encoder for recipes, over a model of the paper
    assert len(models) == len(MODEL_NAMES) + len(small) + 1
    for name in ('bgr_to_rgb', 'loss_decode', 'norm_cfg', 'out_channels'):
        (holder,) = [path.stem for path in models if name in path.read_text()]
        assert holder == 'binary_encoder_decoder'


def test_no_two_configs_have_one_name():
    """Runs go to ``work_dirs/NAME``, and openmim looks for a config by its name."""
    names = sorted(path.name for path in CONFIGS.rglob('*.py'))
    assert names == sorted(set(names))
    modules = (CONFIGS.parent / 'mmseg_ftu').rglob('*.py')
    assert not {*names} & {path.name for path in modules if '.mim' not in path.parts}


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
