"""A restart in mid-training, against two real runs."""

from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from quick_and_slow import mostly_slow
from tiny_run import NO_DROPOUT, build, tiny_config

from mmseg_ftu.engine.restart_optimizer_hook import RestartOptimizerHook
from mmseg_ftu.engine.scale_epochs import scale_epochs

COSINE = dict(type='CosineAnnealingLR', eta_min=1e-4, begin=2, end=4)
SCHEDULES = {
    'warm-up and cosine, by iteration': [
        dict(type='LinearLR', start_factor=0.1, end=2, convert_to_iter_based=True),
        COSINE | dict(convert_to_iter_based=True),
    ],
    'plateau': [
        dict(
            type='ReduceOnPlateauLR',
            monitor='val_loss_bce',
            patience=0,
            threshold=0.9,
            factor=0.5,
        )
    ],
    'steps, and a momentum': [
        dict(type='MultiStepLR', milestones=[2], gamma=0.1),
        dict(type='CosineAnnealingMomentum', eta_min=0.1),
    ],
    'numbers of iterations': [
        dict(type='LinearLR', start_factor=0.1, end=2, by_epoch=False),
        dict(type='PolyLR', power=0.9, by_epoch=False),
    ],
    'none': None,
}
NAMES = list(SCHEDULES)


def config(work_dir, name, **options) -> Config:
    """Return a run whose batches do not depend on the epoch."""
    cfg = tiny_config(work_dir, **{NO_DROPOUT: 0.0})
    cfg.train_dataloader.sampler.shuffle = False
    cfg.param_scheduler = SCHEDULES[name]
    cfg.default_hooks.check_schedule = dict(type='CheckScheduleHook')
    cfg.default_hooks.keep_gradients = dict(type='KeepGradientsHook')
    cfg.custom_hooks = []
    cfg.merge_from_dict(options)
    return cfg


def restarted(work_dir, name, at=0.5, stop=None, **options):
    """Train with the switch and the restart in mid-training."""
    cfg = config(work_dir, name, **options)
    cfg.custom_hooks = [
        dict(
            type='SwitchAuxHook',
            schedule=[dict(begin=0, in_index=1), dict(begin=at, in_index=0)],
        ),
        dict(type='RestartOptimizerHook', at=at),
    ]
    if stop is None:
        return trained(cfg)
    cfg.custom_hooks.append(dict(type='InterruptHook', epoch=stop))
    with pytest.raises(KeyboardInterrupt):
        trained(cfg)
    return None


def trained(cfg):
    runner = build(cfg)
    runner.train()
    return runner


def part(work_dir, name, epochs, index, **options):
    """Train as one of two runs, with a fixed auxiliary head."""
    cfg = config(work_dir, name, **options, **{'model.auxiliary_head.in_index': index})
    scale_epochs(cfg, epochs)
    return trained(cfg)


def assert_same_state(one, other):
    """Compare weights, moments and learning rate, bit by bit."""
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    states = [run.optim_wrapper.optimizer.state_dict() for run in (one, other)]
    assert states[0]['state'].keys() == states[1]['state'].keys()
    for number, state in states[0]['state'].items():
        for key, value in state.items():
            assert torch.equal(value, states[1]['state'][number][key]), (number, key)
    assert one.optim_wrapper.get_lr() == other.optim_wrapper.get_lr()
    assert one.optim_wrapper.get_momentum() == other.optim_wrapper.get_momentum()


def two_runs(root, name, epochs, **options):
    """Train twice, the second time from the weights of the first."""
    first = part(root / 'first', name, epochs[0], 1, **options)
    weights = str(Path(first.work_dir, f'epoch_{epochs[0]}.pth'))
    return part(root / 'second', name, epochs[1], 0, load_from=weights, **options)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Return a function: name of a schedule -> a run with a restart, trained once."""
    return cache(lambda name: restarted(tmp_path_factory.mktemp('whole'), name))


@pytest.mark.parametrize('name', NAMES)
def test_a_restart_is_two_runs(whole, tmp_path, name):
    assert_same_state(two_runs(tmp_path, name, (2, 2)), whole(name))


@pytest.mark.slow
@pytest.mark.parametrize(('at', 'stop'), [(1, 2), (0.7, 2)])  # epochs 1 and 3 of 4
def test_parts_may_differ_in_length(tmp_path, at, stop):
    parts = (1, 3) if at == 1 else (3, 1)
    name = 'steps, and a momentum'
    one = restarted(tmp_path / 'one', name, at)
    assert_same_state(two_runs(tmp_path, name, parts), one)
    restarted(tmp_path / 'parts', name, at, stop=stop)
    resumed = restarted(tmp_path / 'parts', name, at, resume=True)
    assert_same_state(one, resumed)


@pytest.mark.slow
def test_gradients_are_accumulated_within_a_part(tmp_path):
    """Four iterations in each: a step after three and one after the last."""
    options = {'optim_wrapper.accumulative_counts': 3}
    one = restarted(tmp_path / 'one', NAMES[0], **options)
    assert_same_state(two_runs(tmp_path, NAMES[0], (2, 2), **options), one)
    restarted(tmp_path / 'parts', NAMES[0], stop=3, **options)
    resumed = restarted(tmp_path / 'parts', NAMES[0], resume=True, **options)
    assert_same_state(one, resumed)


@pytest.mark.parametrize('stop', mostly_slow([1, 2, 3], [2]))  # 2: at the restart
@pytest.mark.parametrize('name', NAMES[:2])
def test_a_resumed_run_equals_an_uninterrupted_one(whole, tmp_path, name, stop):
    restarted(tmp_path, name, stop=stop)
    assert_same_state(whole(name), restarted(tmp_path, name, resume=True))


def test_what_a_restart_does_to_the_learning_rate(whole):
    """The schedule of each part is as long as the part; two iterations an epoch."""
    rates = whole(NAMES[0]).message_hub.get_scalar('train/lr').data[0].tolist()
    low, middle = 0.001, (0.01 + 1e-4) / 2
    assert rates == pytest.approx([low, 0.01, 0.01, middle] * 2)


@pytest.mark.parametrize('at', [0, 1.0, -1, True, '0.5', None])
def test_what_names_no_epoch_is_refused(at):
    with pytest.raises(ValueError, match=r'RestartOptimizerHook at=.*: give an epoch'):
        RestartOptimizerHook(at)


LOOP = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=8, val_interval=4)


@pytest.mark.parametrize(
    ('at', 'name', 'options', 'message'),
    [
        (4, 'none', {}, r'at=4: epoch 4 is after the last of 4 \(the first is 0\)'),
        (1, NAMES[0], {}, r'at=1: .* in 1 epochs CosineAnnealingLR would begin and'),
        (2, 'none', dict(train_cfg=LOOP), 'IterBasedTrainLoop'),
    ],
)
def test_a_run_that_cannot_restart_is_refused(tmp_path, at, name, options, message):
    cfg = config(tmp_path, name, **options)
    cfg.custom_hooks = [dict(type='RestartOptimizerHook', at=at)]
    runner = build(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_a_restart_does_not_move_once_it_has_been(tmp_path):
    longer = {'train_cfg.max_epochs': 8, 'resume': True}
    restarted(tmp_path, 'none', stop=3)
    with pytest.raises(ValueError, match=r'from epoch 2 to 4, but 3 .* set at=2'):
        restarted(tmp_path, 'none', **longer)


def test_a_run_without_the_hook_is_not_resumed_with_it(tmp_path):
    cfg = config(tmp_path, NAMES[0])
    cfg.custom_hooks = [dict(type='InterruptHook', epoch=1)]
    with pytest.raises(KeyboardInterrupt):
        trained(cfg)
    with pytest.raises(
        ValueError, match=r'param_scheduler.0 \(LinearLR\): the run had'
    ):
        restarted(tmp_path, NAMES[0], resume=True)
