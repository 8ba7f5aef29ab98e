"""Norms of gradients: right by hand, and without any trace in the training."""

import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import BaseModel
from quick_and_slow import mostly_slow
from shipped_run import build, shipped_config
from tiny_run import NO_DROPOUT, tiny_config
from tiny_run import build as build_tiny
from torch import nn

from mmseg_ftu.engine.gradient_norm_hook import GradientNormHook
from mmseg_ftu.report.curves import read_lines


class TwoWeights(nn.Module):
    """Maps a x and b a x, so that all gradients can be written down."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor([float(w)])) for w in (a, b))

    def forward(self, x):
        first = self.a * x
        return [first, self.b * first]


class ByHand(BaseModel):
    """Its main loss is the sum of the last map; the auxiliary one is of the first."""

    with_auxiliary_head = True

    def __init__(self, backbone, aux_weight):
        super().__init__()
        self.backbone = backbone
        self.aux_weight = aux_weight

    def forward(self, x):
        first, last = self.backbone(x)
        losses = {'decode.loss_bce': last.sum(), 'decode.loss_dice': last.sum() / 2}
        losses['decode.acc_seg'] = torch.tensor(9.0)
        if self.aux_weight:
            losses['aux.loss_bce'] = self.aux_weight * first.sum()
        return losses


class Doubling:
    """A gradient scaler."""

    def scale(self, loss):
        return 1024 * loss

    def get_scale(self):
        return 1024.0


def measured(a, b, aux_weight=0.2, x=3.0, scaler=None, requires_grad=(True, True)):
    """Return what the hook logs of one iteration, by name, and the model."""
    model = ByHand(TwoWeights(a, b), aux_weight)
    for parameter, needed in zip(model.parameters(), requires_grad, strict=True):
        parameter.requires_grad_(needed)
    hub = MessageHub(f'by_hand_{id(model)}')
    wrapper = SimpleNamespace(loss_scaler=scaler)
    runner = SimpleNamespace(
        model=model,
        message_hub=hub,
        visualizer=SimpleNamespace(add_scalars=lambda *_, **__: None),
        logger=MMLogger.get_current_instance(),
        timestamp='now',
        epoch=0,
        iter=0,
        optim_wrapper=wrapper,
    )
    hook = GradientNormHook(interval=1)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    total, _ = model.parse_losses(model(torch.tensor([x])))
    total.backward()
    hook.after_train_iter(runner, 0)
    return {k: v.current() for k, v in hub.log_scalars.items()}, model


@pytest.mark.parametrize('scaler', [None, Doubling()])
@pytest.mark.parametrize(('a', 'b'), [(2, 5), (-0.5, 4)])
def test_norms_by_hand(a, b, scaler):
    """The main loss is 1.5 a b x, the auxiliary loss 0.2 a x; x is 3."""
    scalars, model = measured(a, b, scaler=scaler)
    assert scalars == pytest.approx(
        {
            'grad_main/stage_0': 4.5 * abs(b),
            'grad_main_ratio/stage_0': 4.5 * abs(b / a),
            'grad_main/stage_1': 4.5 * abs(a),
            'grad_main_ratio/stage_1': 4.5 * abs(a / b),
            'grad_aux/stage_0': 0.6,
            'grad_aux_ratio/stage_0': 0.6 / abs(a),
            'grad_aux/stage_1': 0,
            'grad_aux_ratio/stage_1': 0,
        }
    )
    # what the training itself computed is that of both losses, once
    assert model.backbone.a.grad.item() == pytest.approx(4.5 * b + 0.6)
    assert model.backbone.b.grad.item() == pytest.approx(4.5 * a)


def test_an_auxiliary_loss_that_is_off_is_zero():
    scalars, _ = measured(2, 5, aux_weight=None)
    assert scalars['grad_aux/stage_0'] == scalars['grad_aux/stage_1'] == 0
    assert scalars['grad_main/stage_0'] == pytest.approx(22.5)


def test_frozen_stages_and_values_that_are_not_finite_are_left_out():
    scalars, _ = measured(2, 5, requires_grad=(False, True))
    assert {name.split('/')[1] for name in scalars} == {'stage_1'}
    scalars, _ = measured(2, 5, x=math.inf, aux_weight=None)
    assert not any('main' in name for name in scalars)


def test_nothing_stays_on_the_model():
    _, model = measured(2, 5)
    assert 'parse_losses' not in vars(model)
    assert not model.backbone._forward_hooks


def test_nothing_stays_on_a_model_that_adds_up_its_losses_itself():
    model = ByHand(TwoWeights(2, 5), 0.2)
    runner = SimpleNamespace(model=model, iter=0)
    hook = GradientNormHook(interval=1)
    hook.before_train(runner)
    hook.before_train_iter(runner, 0)
    hook.after_train_iter(runner, 0)
    assert 'parse_losses' not in vars(model)
    assert not model.backbone._forward_hooks


@pytest.mark.parametrize('interval', [1, 3])
def test_which_iterations_are_measured(tmp_path, interval):
    options = {'custom_hooks.0.schedule': [dict(begin=0, in_index=None)]}
    hook = dict(type='GradientNormHook', interval=interval)
    options['default_hooks.gradient_norm'] = hook
    cfg = tiny_config(tmp_path, **options, **{NO_DROPOUT: 0.0})
    cfg.model.decode_head.in_index = 1  # the third stage gets no gradient at all
    cfg.model.decode_head.in_channels = 12
    runner = build_tiny(cfg)
    runner.train()  # 8 iterations
    scalars = runner.message_hub.log_scalars
    names = {n for n in scalars if 'grad_' in n}
    stages = ('stage_0', 'stage_1', 'stage_2')
    kinds = ('main', 'main_ratio', 'aux', 'aux_ratio')
    assert names == {f'grad_{kind}/{stage}' for kind in kinds for stage in stages}
    norms = {n: scalars[n].data[0].tolist() for n in names}
    assert {len(values) for values in norms.values()} == {8 // interval}
    assert all(value > 0 for value in norms['grad_main/stage_1'])
    for name in ('grad_aux/stage_0', 'grad_main/stage_2'):
        assert set(norms[name]) == {0}


def test_norms_are_logged_where_they_were_measured(tmp_path):
    """The auxiliary loss is on in the first epoch: in its two iterations alone."""
    phases = [dict(begin=0, in_index=1), dict(begin=1, in_index=None)]
    hook = dict(type='GradientNormHook', interval=1)
    options = {'custom_hooks.0.schedule': phases, 'default_hooks.gradient_norm': hook}
    cfg = tiny_config(tmp_path, **options, **{NO_DROPOUT: 0.0})
    cfg.default_hooks.logger = dict(type='LoggerHook', interval=1)
    runner = build_tiny(cfg)
    runner.train()
    (path,) = tmp_path.glob(f'*/vis_data/{runner.timestamp}.json')
    lines, _ = read_lines(path)
    norms = {x['iter']: x['grad_aux/stage_0'] for x in lines if 'grad_aux/stage_0' in x}
    assert list(norms) == [*range(1, 9)]
    assert [number for number, norm in norms.items() if norm > 0] == [1, 2]
    assert not any('loss' in x for x in lines if 'grad_aux/stage_0' in x)
    losses = [x['iter'] for x in lines if 'aux.loss_bce' in x]
    assert losses == [1, 2]  # and is not repeated when it is off


@pytest.mark.parametrize('options', [dict(interval=0), dict(interval=-1)])
def test_an_interval_below_one_is_refused(options):
    with pytest.raises(ValueError, match='GradientNormHook interval='):
        GradientNormHook(**options)


def test_a_model_without_encoder_is_refused():
    runner = SimpleNamespace(model=nn.Linear(1, 1))
    with pytest.raises(ValueError, match='needs a model with a backbone, Linear has'):
        GradientNormHook().before_train(runner)


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=10, folds=5)


TRAININGS = {
    'float32, recomputed activations': {'model.backbone.with_cp': True},
    'bfloat16, accumulated gradients': {
        'optim_wrapper.type': 'Bf16OptimWrapper',
        'optim_wrapper.when': 'always',
        'optim_wrapper.accumulative_counts': 3,
    },
}


@pytest.mark.parametrize('name', mostly_slow(TRAININGS, []))
def test_the_training_is_the_same_to_the_bit(data, tmp_path, name):
    """Batch norm, dropout, drop path, augmentation and the switch of the quickstart."""
    states = []
    for hooks in ({}, {'gradient_norm': dict(type='GradientNormHook', interval=1)}):
        cfg = shipped_config(tmp_path / str(len(states)), data, workers=False)
        cfg.merge_from_dict(TRAININGS[name] | {'train_cfg.max_epochs': 3})
        cfg.param_scheduler = None
        cfg.default_hooks.update(hooks)
        runner = build(cfg)
        runner.train()
        path = tmp_path / str(len(states)) / 'epoch_3.pth'
        states.append(torch.load(path, weights_only=False))
    logged = runner.message_hub.get_scalar('grad_aux/stage_0').data[0]
    assert len(logged) == runner.iter
    assert (logged > 0).all()
    plain, watched = states
    assert plain['state_dict'].keys() == watched['state_dict'].keys()
    for key, value in plain['state_dict'].items():
        assert torch.equal(value, watched['state_dict'][key]), key
    for number, state in plain['optimizer']['state'].items():
        for key, value in state.items():
            assert torch.equal(value, watched['optimizer']['state'][number][key])
