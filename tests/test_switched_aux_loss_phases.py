"""Phases of all kinds in a real Runner: several stages, off, decay, random stages."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from quick_and_slow import mostly_slow
from tiny_run import (
    NO_DROPOUT,
    RecordHook,
    build,
    gradient_norms,
    hook_of,
    tiny_config,
)

from mmseg_ftu.engine.aux_stages import as_scalar, stages_of
from mmseg_ftu.switched_aux_loss import supervision_at

TESTS = Path(__file__).resolve().parent
PHASES = [
    dict(begin=0, in_index=[0, 2], loss_weight=[0.3, 0.1], decay='linear'),
    dict(begin=2, in_index=None),
    dict(
        begin=0.5,
        in_index='random',
        stages=[0, 1, 2],
        loss_weight=0.2,
        decay='geometric',
        end_weight=0.05,
    ),
    dict(begin=6, in_index=[1, 0]),
]
STAGES = [[0, 2], [0, 2], None, None, 2, 1, [1, 0], [1, 0]]  # random: 2 and 1 of seed 2
WEIGHTS = [0.4, 0.2, 0, 0, 0.2, 0.1, 0.4, 0.4]  # sums; in the last phase the head's 0.2
OPTIONS = {
    'custom_hooks.0.schedule': PHASES,
    'train_cfg.max_epochs': 8,
    'randomness.seed': 2,
}


def config(work_dir, **options):
    return tiny_config(work_dir, **(OPTIONS | options))


def interrupted(work_dir, stop, **options):
    cfg = config(work_dir, **options)
    cfg.custom_hooks.append(dict(type='InterruptHook', epoch=stop))
    with pytest.raises(KeyboardInterrupt):
        build(cfg).train()


def trained(cfg):
    runner = build(cfg)
    runner.train()
    return runner


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Train to the end without a stop, with an average of the weights."""
    return trained(config(tmp_path_factory.mktemp('whole'), **EMA))


EMA = {'default_hooks.ema': dict(type='EMAHook', momentum=0.2)}


def test_stages_and_weights_are_set_and_logged(whole):
    record = hook_of(whole, RecordHook)
    assert record.stages == STAGES
    assert record.logged == [as_scalar(stage) for stage in STAGES]
    assert record.logged[:4] == [20, 20, -1, -1]
    assert record.weights == pytest.approx(WEIGHTS)


def test_only_the_stems_of_active_stages_move(whole):
    stems = hook_of(whole, RecordHook).stems
    moved = [
        [i for i, pair in enumerate(zip(old, new, strict=True)) if differ(*pair)]
        for old, new in pairwise(stems)
    ]
    assert moved == [sorted(stages_of(stage)) for stage in STAGES]


def differ(one, other):
    return not torch.equal(one, other)


def test_the_loss_is_absent_while_it_is_off(tmp_path):
    off = [dict(begin=0, in_index=None), dict(begin=3, in_index=1)]
    runner = trained(tiny_config(tmp_path, **{'custom_hooks.0.schedule': off}))
    losses = runner.message_hub.get_scalar('train/aux.loss_bce').data[0]
    assert len(losses) == 2  # one epoch of two iterations


@pytest.mark.parametrize(
    'stop', mostly_slow([1, 3, 5, 7], [3])
)  # in the middle of each phase
def test_a_run_resumed_in_mid_phase_equals_an_uninterrupted_one(whole, tmp_path, stop):
    interrupted(tmp_path, stop, **EMA)
    resumed = trained(config(tmp_path, resume=True, **EMA))
    assert hook_of(resumed, RecordHook).stages == STAGES[stop:]
    assert hook_of(resumed, RecordHook).weights == pytest.approx(WEIGHTS[stop:])
    assert resumed.optim_wrapper.get_lr() == whole.optim_wrapper.get_lr()
    one, other = (
        torch.load(Path(run.work_dir, 'epoch_8.pth'), weights_only=False)
        for run in (whole, resumed)
    )
    for part in ('state_dict', 'ema_state_dict'):
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), name


def test_the_average_of_an_idle_stem_stays(tmp_path):
    """Stem 1 first moves in epoch 5, by the random stage."""
    interrupted(tmp_path, 5, **EMA)
    saved = torch.load(tmp_path / 'epoch_5.pth', weights_only=False)
    average, last = saved['state_dict'], saved['ema_state_dict']
    key = 'auxiliary_head.stems.{}.weight'
    for stage, learned in enumerate([True, False, True]):
        weights = average[key.format(stage)], last['module.' + key.format(stage)]
        assert differ(*weights) == learned


HALF = [dict(begin=0, in_index=1), dict(begin=0.5, in_index=0)]
FOURTH = [dict(begin=0, in_index=1), dict(begin=4, in_index=0)]


@pytest.mark.parametrize(
    ('schedule', 'stop', 'message'),
    [
        (PHASES, 5, r'in epoch 4: \(2, \[0.2\]\) -> \(None, 1.0\)'),
        (HALF, 5, r'max_epochs=8 -> 10 .* in epoch 4: \(0, 1.0\) -> \(1, 1.0\)'),
        (HALF, 3, None),
        (FOURTH, 5, None),
    ],
)
def test_a_longer_run_keeps_its_past(tmp_path, schedule, stop, message):
    """Shares of the run and decays to its end move with its length."""
    options = {'custom_hooks.0.schedule': schedule, 'param_scheduler.0.end': 10**9}
    interrupted(tmp_path, stop, **options)
    longer = config(tmp_path, resume=True, **options, **{'train_cfg.max_epochs': 10})
    if message:
        with pytest.raises(ValueError, match=message):
            trained(longer)
    else:
        stages = hook_of(trained(longer), RecordHook).stages
        assert stages == [supervision_at(e, schedule, 10)[0] for e in range(stop, 10)]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    """Two processes on gloo, across the phases, against one on the same batches."""
    (tmp_path / 'two').mkdir()
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    command += ['--standalone', str(TESTS / 'tiny_run.py'), str(tmp_path / 'two')]
    norms = {'default_hooks.norms': dict(type='GradientNormHook', interval=1)}
    command += [json.dumps(OPTIONS | norms)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    two = torch.load(tmp_path / 'two' / 'result.pt', weights_only=False)

    one = trained(config(tmp_path / 'one', **{NO_DROPOUT: 0.0}, **norms))
    assert two['stages'] == hook_of(one, RecordHook).stages == STAGES
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(two['state'][name], value, rtol=1e-4, atol=1e-5)
    expected = one.val_loop.run()
    keys = {'Dice', 'Dice/HPA', 'Dice/kidney', 'Dice/lung', 'val_loss_bce'}
    assert two['metrics'].keys() == expected.keys() == keys
    assert two['metrics'] == pytest.approx(expected, abs=1e-3)
    assert len(two['norms']) == 12  # two losses and their ratios in three stages
    for name, values in gradient_norms(one).items():
        assert two['norms'][name] == pytest.approx(values, rel=1e-2, abs=1e-5), name
