"""Schedules that cannot be meant, each refused with the number of its phase."""

import re

import pytest

from mmseg_ftu.engine.aux_schedule import check_reached, check_schedule
from mmseg_ftu.switched_aux_loss import SwitchAuxHook

ON = dict(begin=0, in_index=0)
SECOND = dict(begin=5, in_index=0)
RANDOM = dict(begin=5, in_index='random', stages=[0, 1])


@pytest.mark.parametrize(
    'phase',
    [
        SECOND,
        dict(begin=0.5, in_index=None),
        dict(begin=5, in_index=[0, 2], loss_weight=0.2),
        dict(begin=5, in_index=[0, 2], loss_weight=[0.2, 0]),
        dict(begin=5, in_index=1, loss_weight=1, decay='linear'),
        dict(begin=5, in_index=1, loss_weight=1, decay='linear', end_weight=2),
        dict(begin=5, in_index=1, loss_weight=1, decay='geometric', end_weight=0.1),
        dict(begin=5, in_index=[1], loss_weight=[1], decay='linear', end_weight=[2]),
        RANDOM,
        RANDOM | dict(loss_weight=0.2, decay='linear'),
    ],
)
def test_phases_that_can_be_meant(phase):
    check_schedule([ON, phase])
    check_schedule([phase | dict(begin=0)])
    SwitchAuxHook([ON, phase])


@pytest.mark.parametrize(
    ('phase', 'message'),
    [
        (dict(begin=5), "has the keys ['begin'], needs begin, in_index"),
        (SECOND | dict(wieght=1), "has the keys ['begin', 'in_index', 'wieght']"),
        (SECOND | dict(begin=-1), 'needs as begin=-1 the number of an epoch'),
        (SECOND | dict(begin=5.0), 'needs as begin=5.0 the number'),
        (SECOND | dict(begin=True), 'needs as begin=True the number'),
        (SECOND | dict(in_index='1'), "has in_index='1'"),
        (SECOND | dict(in_index=True), 'has in_index=True'),
        (SECOND | dict(in_index=[]), 'has in_index=[]'),
        (SECOND | dict(in_index=[0, 0]), 'has in_index=[0, 0]'),
        (SECOND | dict(in_index=[0, 1.0]), 'has in_index=[0, 1.0]'),
        (SECOND | dict(in_index='random'), 'needs stages=[...] to draw from'),
        (SECOND | dict(stages=[0, 1]), 'needs stages=[...] to draw from'),
        (RANDOM | dict(stages=[]), "has in_index='random', stages=[]"),
        (RANDOM | dict(stages=2), "has in_index='random', stages=2"),
        (RANDOM | dict(loss_weight=[0.1, 0.2]), 'has loss_weight=[0.1, 0.2]'),
        (SECOND | dict(loss_weight=-0.2), 'has loss_weight=-0.2'),
        (SECOND | dict(loss_weight='0.2'), "has loss_weight='0.2'"),
        (
            SECOND | dict(in_index=[0, 1], loss_weight=[0.1]),
            'has loss_weight=[0.1]; it is a number from 0 on, or for a list of',
        ),
        (SECOND | dict(in_index=[0], loss_weight=[[0.1]]), 'has loss_weight=[[0.1]]'),
        (SECOND | dict(decay='linear'), 'has a decay but no loss_weight'),
        (
            dict(begin=5, in_index=None, loss_weight=1, decay='linear'),
            'has a decay but no loss_weight to begin with, or no stage',
        ),
        (SECOND | dict(loss_weight=1, end_weight=0), 'has an end_weight but no decay'),
        (SECOND | dict(loss_weight=1, decay='cosine'), "has decay='cosine', choose"),
        (SECOND | dict(loss_weight=1, decay='geometric'), 'needs loss_weight and end'),
        (
            SECOND | dict(loss_weight=1, decay='geometric', end_weight=0),
            'needs loss_weight and end_weight above 0',
        ),
        (
            dict(begin=5, in_index=[0, 1], loss_weight=[1, 0], decay='geometric')
            | dict(end_weight=1),
            'needs loss_weight and end_weight above 0',
        ),
    ],
)
def test_a_phase_that_can_not_be_meant_is_named(phase, message):
    with pytest.raises(ValueError, match=re.escape(f'schedule[1] {message}')):
        SwitchAuxHook([ON, phase])


@pytest.mark.parametrize(
    ('begins', 'message'),
    [
        ([], 'the schedule is empty'),
        ([1], 'must begin at epoch 0'),
        ([0.5], 'must begin at epoch 0'),
        ([0, 0], r'phases begin at \[0, 0\]'),
        ([0, 9, 5], 'phases begin at'),
        ([0, 0.5, 0.25], 'phases begin at'),
    ],
)
def test_phases_follow_each_other(begins, message):
    with pytest.raises(ValueError, match=message):
        SwitchAuxHook([dict(begin=begin, in_index=0) for begin in begins])


@pytest.mark.parametrize(
    ('begins', 'epochs', 'message'),
    [
        ([0, 9], 9, r'schedule\[1\] begins after the last epoch, in epoch 9 \(max'),
        ([0, 0.5, 0.99], 10, r'schedule\[2\] begins after the last epoch'),
        ([0, 0.5], 1, r'schedule\[1\] begins after the last epoch'),
        ([0, 0.5, 5], 10, r'schedule\[1\] begins in epoch 5 and schedule\[2\] in .* 5'),
        (
            [0, 5, 0.25],
            10,
            r'schedule\[1\] begins in epoch 5 and schedule\[2\] in .* 2',
        ),
    ],
)
def test_a_phase_that_a_run_can_not_reach_is_named(begins, epochs, message):
    schedule = [dict(begin=begin, in_index=0) for begin in begins]
    check_schedule(schedule)
    with pytest.raises(ValueError, match=message):
        check_reached(schedule, epochs)


def test_a_run_that_reaches_its_phases():
    check_reached([dict(begin=begin, in_index=0) for begin in (0, 0.25, 5, 0.9)], 10)
