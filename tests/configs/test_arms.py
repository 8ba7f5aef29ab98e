"""The arms: one line over a model, and nothing but the arm is different."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from shipped_run import WIDTHS, build, shipped_config
from slim_models import slim_config

from mmseg_ftu.engine.scale_epochs import scale_epochs
from mmseg_ftu.switched_aux_loss import AuxiliaryHead, SwitchAuxHook, supervision_at

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
CONFIG_NAMES = ['ftu/coat_daformer', 'ftu/enetb5_unet', 'tissue/coat_slim_daformer']
HALVES = [0.2 * 8 / 15, 0.2 * 4 / 15, 0.2 * 2 / 15, 0.2 / 15]
# What is active in each of four epochs, and with which weight.
SUPERVISION = {
    'fixed_0': ([0, 0, 0, 0], [[0.2]] * 4),
    'fixed_1': ([1, 1, 1, 1], [[0.2]] * 4),
    'switch_1_to_0': ([1, 1, 0, 0], [[0.2]] * 4),
    'switch_0_to_1': ([0, 0, 1, 1], [[0.2]] * 4),
    'switch_restart': ([1, 1, 0, 0], [[0.2]] * 4),
    'all_stages': ([[0, 1, 2, 3]] * 4, [HALVES] * 4),
    'linear_decay': ([1, 1, 1, 1], [[0.2], [0.15], [0.1], [0.05]]),
    'on_then_off': ([1, 1, None, None], [[0.2], [0.2], [], []]),
    'random_stage': ([1, 1, 1, 0], [[0.2]] * 4),  # of seed 0
}
WITHOUT_HEAD = ['none', 'restart_only']
ARMS = sorted([*SUPERVISION, *WITHOUT_HEAD])


def compose(tmp_path, model, arm):
    """Return the normal config of a model, and that with an arm: a file of one line."""
    suffix = '' if arm in WITHOUT_HEAD else '_aux'
    base = CONFIGS / f'{model}{suffix}.py'
    file = tmp_path / 'mine.py'
    file.write_text(f"_base_ = ['{base}', '{CONFIGS}/_base_/arms/{arm}.py']\n")
    return Config.fromfile(base), Config.fromfile(file)


def test_these_files_are_there():
    assert sorted(p.stem for p in (CONFIGS / '_base_/arms').glob('*.py')) == ARMS


@pytest.mark.parametrize('model', CONFIG_NAMES)
@pytest.mark.parametrize('arm', ARMS)
def test_only_the_hooks_differ(tmp_path, model, arm):
    base, composed = compose(tmp_path, model, arm)
    keys = {*base, *composed} - {'filename'}
    assert {k for k in keys if base.get(k) != composed.get(k)} == {'custom_hooks'}
    restarts = [hook for hook in composed.custom_hooks if 'Restart' in hook.type]
    assert [hook.at for hook in restarts] == ([0.5] if 'restart' in arm else [])


@pytest.mark.parametrize('epochs', [4, 120])
@pytest.mark.parametrize('arm', SUPERVISION)
def test_what_an_arm_supervises_at_any_length(tmp_path, arm, epochs):
    _, cfg = compose(tmp_path, CONFIG_NAMES[0], arm)
    scale_epochs(cfg, epochs)
    schedule = SwitchAuxHook(**_arguments(cfg)).schedule
    head = AuxiliaryHead([8] * 5, 1, loss_weight=cfg.aux_head.loss_weight)
    for i, stages in enumerate(SUPERVISION[arm][0]):
        epoch = i * epochs // 4
        index, weight = supervision_at(epoch, schedule, epochs, 0, 0.2)
        head.supervise(index, weight)
        if arm == 'random_stage' and epochs != 4:
            assert index in (0, 1)
        else:
            assert index == stages
        weights = list(head.weights.values())
        assert weights == pytest.approx(SUPERVISION[arm][1][i])


def _arguments(cfg):
    return {k: v for k, v in cfg.custom_hooks[0].items() if k != 'type'}


def test_the_papers_files_are_arms(tmp_path):
    """The switch of ``ftu`` and ``tissue`` is that arm at the length of the config."""
    for model in CONFIG_NAMES:
        _, arm = compose(tmp_path, model, 'switch_1_to_0')
        theirs = Config.fromfile(CONFIGS / f'{model}_switch.py').custom_hooks[0]
        length = arm.train_cfg.max_epochs
        for epoch in range(length):
            assert supervision_at(epoch, theirs.schedule, length) == supervision_at(
                epoch, arm.custom_hooks[0].schedule, length
            )


@pytest.mark.parametrize('name', ['quickstart', 'r101_unet', 'mit_daformer'])
def test_all_arms_begin_from_the_same_weights(name):
    cfg = slim_config(name)
    with_head = weights_of(cfg)
    cfg.model.auxiliary_head = None
    without = weights_of(cfg)
    assert without.keys() < with_head.keys()
    for key, value in without.items():
        assert torch.equal(value, with_head[key]), key


def weights_of(cfg):
    torch.manual_seed(3)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.state_dict()


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=10, folds=5)


@pytest.mark.slow
@pytest.mark.parametrize('arm', ['all_stages', 'restart_only', 'switch_restart'])
def test_arms_train(tmp_path, data, arm):
    """The quickstart made small, with the hooks of the arm."""
    _, composed = compose(tmp_path, CONFIG_NAMES[2], arm)
    cfg = shipped_config(tmp_path / 'run', data, workers=False)
    cfg.custom_hooks = composed.custom_hooks
    if arm in WITHOUT_HEAD:
        cfg.model.pop('auxiliary_head')
    cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = 2
    runner = build(cfg)
    runner.train()
    saved = torch.load(tmp_path / 'run' / 'epoch_4.pth', weights_only=False)
    heads = [k for k in saved['state_dict'] if k.startswith('auxiliary_head')]
    assert len(heads) == (0 if arm in WITHOUT_HEAD else 2 * len(WIDTHS))
    rates = runner.message_hub.get_scalar('train/lr').data[0].tolist()
    half = len(rates) // 2
    assert (rates[:half] == rates[half:]) == ('restart' in arm)
