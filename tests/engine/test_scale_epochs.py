"""A recipe keeps its proportions in another number of epochs."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from mmseg_ftu.engine.scale_epochs import scale_epochs

CONFIG = Path(__file__).parents[2] / 'configs/ftu/coat_daformer_switch.py'
RECIPE = dict(
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=40, val_interval=4),
    param_scheduler=[
        dict(type='LinearLR', begin=0, end=2, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=2, end=40, T_max=38),
        dict(type='ReduceOnPlateauLR', end=10**9, patience=5),
        dict(type='MultiStepLR', milestones=[20, 30]),
        dict(type='PolyLR', by_epoch=False, end=40),
    ],
    custom_hooks=[
        dict(
            type='SwitchAuxHook',
            schedule=[dict(begin=0, in_index=1), dict(begin=20, in_index=0)],
        ),
        dict(type='EMAHook', begin_epoch=30, begin_iter=0),
    ],
)


def scaled(epochs, **changes):
    cfg = Config(RECIPE | changes)
    scale_epochs(cfg, epochs)
    return cfg


@pytest.mark.parametrize(
    ('epochs', 'warm_up', 'switch', 'average', 'steps'),
    [
        (40, 2, 20, 30, [20, 30]),
        (80, 4, 40, 60, [40, 60]),
        (10, 1, 5, 8, [5, 8]),
    ],
)
def test_schedules_keep_their_share(epochs, warm_up, switch, average, steps):
    cfg = scaled(epochs)
    linear, cosine, plateau, multi, of_iterations = cfg.param_scheduler
    assert (linear.begin, linear.end) == (0, warm_up)
    assert (cosine.begin, cosine.end) == (warm_up, epochs)
    assert plateau.end == 10**9
    assert plateau.patience == 5
    assert multi.milestones == steps
    assert of_iterations.end == 40
    switching, averaging = cfg.custom_hooks
    assert [p.begin for p in switching.schedule] == [0, switch]
    assert [p.in_index for p in switching.schedule] == [1, 0]
    assert (averaging.begin_epoch, averaging.begin_iter) == (average, 0)
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.train_cfg.val_interval == 4


def test_shares_stay_and_mix_with_epochs():
    phases = [dict(begin=b, in_index=0) for b in (0, 10, 0.5, 30)]
    hooks = [
        dict(type='SwitchAuxHook', schedule=phases),
        dict(type='RestartOptimizerHook', at=20),
        dict(type='RestartOptimizerHook', at=0.25),
    ]
    switch, at_epoch, at_share = scaled(8, custom_hooks=hooks).custom_hooks
    assert [p.begin for p in switch.schedule] == [0, 2, 0.5, 6]
    assert (at_epoch.at, at_share.at) == (4, 0.25)
    with pytest.raises(ValueError, match=r'would begin in epochs \[0, 1, 2, 2\]'):
        scaled(3, custom_hooks=hooks)


def test_the_paper_recipe():
    cfg = Config.fromfile(CONFIG)
    scale_epochs(cfg, 12)
    assert [p.begin for p in cfg.custom_hooks[0].schedule] == [0, 6]
    assert cfg.param_scheduler[0].end == 10**9


def test_a_single_scheduler_and_no_hooks():
    cfg = scaled(
        20, param_scheduler=dict(type='CosineAnnealingLR', end=40), custom_hooks=None
    )
    assert cfg.param_scheduler.end == 20


def test_what_can_not_be_scaled_is_named():
    with pytest.raises(ValueError, match='--epochs 0: must be at least 1'):
        scaled(0)
    with pytest.raises(ValueError, match=r'counts iterations.*train_cfg\.max_iters'):
        scaled(5, train_cfg=dict(type='IterBasedTrainLoop', max_iters=100))
    with pytest.raises(ValueError, match='1 epochs CosineAnnealingLR would begin and'):
        scaled(1, custom_hooks=None)
    late = dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=i, in_index=0) for i in (0, 4, 5)],
    )
    with pytest.raises(ValueError, match=r'phases of SwitchAuxHook would begin in'):
        scaled(4, custom_hooks=[late])


SCHEDULERS = {
    'steps': [dict(type='StepLR', step_size=10)],
    'milestones': [dict(type='MultiStepLR', milestones=[20, 30])],
    'one cycle': [dict(type='OneCycleLR', total_steps=40, eta_max=1.0)],
    'restarts': [
        dict(
            type='CosineRestartLR', periods=[20, 20], restart_weights=[1, 1], eta_min=0
        )
    ],
    'exponential': [dict(type='ExponentialLR', gamma=0.9)],
    'polynomial': [dict(type='PolyLR', power=0.9, eta_min=0, end=40)],
    'warm-up and cosine': [
        dict(type='LinearLR', start_factor=0.1, end=10),
        dict(type='CosineAnnealingLR', begin=10, end=40, T_max=30),
    ],
    'cosine to the end of the run': [dict(type='CosineAnnealingLR', T_max=40)],
}


def rates(schedulers, epochs):
    """Return the learning rate in each epoch, by mmengine's own schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    built = [
        PARAM_SCHEDULERS.build({**entry, 'optimizer': optimizer})
        for entry in schedulers
    ]
    found = []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in built:
            scheduler.step()
    return np.array(found)


@pytest.mark.parametrize('name', SCHEDULERS)
def test_the_learning_rate_has_the_same_course(name):
    """Every second epoch of a run of twice the length, by what mmengine does."""
    cfg = scaled(80, param_scheduler=copy.deepcopy(SCHEDULERS[name]))
    short, long = rates(SCHEDULERS[name], 40), rates(cfg.param_scheduler, 80)
    assert short.max() > 2 * short.min()
    assert np.abs(short - long[::2]).max() < 0.06


@pytest.mark.parametrize('epochs', [7, 10, 13, 80])
def test_a_cosine_ends_at_its_least_rate_however_it_is_rounded(epochs):
    cfg = scaled(epochs)
    cosine = cfg.param_scheduler[1]
    assert cosine.T_max == cosine.end - cosine.begin == epochs - cosine.begin
