"""The learning rate of a run that is made longer, in a real Runner."""

from functools import partial
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from shipped_run import CONFIGS, build, log_of, watched
from shipped_run import shipped_config as config_with_workers

shipped_config = partial(config_with_workers, workers=False)
CONSTANT = {'default_hooks.check_schedule.allow_constant': True}


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=10, folds=5)


def train(work_dir, data, epochs, schedule=None, **options):
    cfg = shipped_config(work_dir, data, **{'train_cfg.max_epochs': epochs})
    cfg.custom_hooks[0].schedule[1].begin = 1
    cfg.param_scheduler = schedule or cfg.param_scheduler
    cfg.merge_from_dict(options)
    runner = build(cfg)
    runner.train()
    return watched(runner).rates, cfg


def rate_in(path):
    return torch.load(path, weights_only=False)['optimizer']['param_groups'][0]['lr']


def plateau(**options):
    """The schedule of the paper's configs, but so that it acts in each epoch."""
    schedule = Config.fromfile(CONFIGS / '_base_/schedules/schedule_120e.py')
    (one,) = schedule.param_scheduler
    one.update(patience=0, threshold=0.9, **options)
    return [one]


@pytest.mark.slow
def test_a_longer_run_goes_on_as_one_that_was_so_from_the_start(data, tmp_path):
    whole, _ = train(tmp_path / 'whole', data, 5, plateau())
    train(tmp_path / 'parts', data, 3, plateau())
    rates, _ = train(tmp_path / 'parts', data, 5, plateau(), resume=True)
    assert rates == whole[3:]
    assert rates[0] > rates[1]
    one, other = (
        torch.load(Path(tmp_path, name, 'epoch_5.pth'), weights_only=False)
        for name in ('whole', 'parts')
    )
    for name, value in one['state_dict'].items():
        assert torch.equal(value, other['state_dict'][name]), name


@pytest.mark.slow
def test_a_schedule_that_ended_with_the_run_ends_later_now(data, tmp_path):
    """Without ``end`` mmengine writes the length of the run there."""
    schedule = plateau()
    del schedule[0]['end']
    train(tmp_path, data, 2, schedule)
    rates, cfg = train(tmp_path, data, 4, schedule, resume=True, log_level='INFO')
    assert rates[0] > rates[1]
    assert 'param_scheduler.0: end=2 -> 4 epochs' in log_of(cfg)


@pytest.fixture(scope='module')
def cosine(data, tmp_path_factory):
    """Train to the end of the quickstart's schedule: a warm-up and a cosine."""
    work_dir = tmp_path_factory.mktemp('cosine')
    train(work_dir, data, 2, **{'param_scheduler.1.end': 2})
    return work_dir


def test_a_cosine_that_has_ended_is_not_stretched(data, cosine):
    longer = {'param_scheduler.1.end': 3, 'resume': True}
    message = r'param_scheduler.1 .*T_max=.* load_from=CHECKPOINT, another --work-dir'
    with pytest.raises(ValueError, match=message):
        train(cosine, data, 3, **longer)


def test_a_run_without_a_schedule_for_its_new_part_is_refused_unless_told(data, cosine):
    longer = {'param_scheduler.1.end': 2, 'resume': True}
    message = r'longer \(max_epochs=2 -> 3\), but all .* ended.*allow_constant=True'
    with pytest.raises(ValueError, match=message):
        train(cosine, data, 3, **longer)
    last = rate_in(cosine / 'epoch_2.pth')
    rates, cfg = train(cosine, data, 3, **longer, **CONSTANT)
    assert rates == [last]
    assert 'all its learning-rate schedules have ended' in log_of(cfg)


@pytest.mark.slow
def test_resuming_within_the_same_length_is_no_extension(data, tmp_path):
    """A tail at a constant rate that was planned from the start."""
    options = {'param_scheduler.1.end': 2}
    cfg = shipped_config(tmp_path, data, **options, **{'train_cfg.max_epochs': 4})
    cfg.custom_hooks.append(dict(type='StopHook', epoch=3))
    with pytest.raises(KeyboardInterrupt):
        build(cfg).train()
    rates, _ = train(tmp_path, data, 4, resume=True, **options)
    assert rates == [rate_in(tmp_path / 'epoch_3.pth')]


@pytest.mark.slow
def test_other_schedules_than_before_are_refused(data, tmp_path):
    train(tmp_path, data, 2, plateau())
    with pytest.raises(ValueError, match=r'factor=0.7 -> 0.5; epochs'):
        train(tmp_path, data, 3, plateau(factor=0.5), resume=True)
    with pytest.raises(ValueError, match=r'had 1 schedules .* go on with 2'):
        train(tmp_path, data, 3, plateau() * 2, resume=True)
    with pytest.raises(ValueError, match=r'StepLR\): .*step_size=none -> 1'):
        train(tmp_path, data, 3, [dict(type='StepLR', step_size=1)], resume=True)
