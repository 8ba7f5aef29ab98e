"""Checkpoints after validation, atomic; what a resumed run needs beyond the switch."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend
from quick_and_slow import mostly_slow
from shipped_run import build as build_shipped
from shipped_run import end_workers, shipped_config
from tiny_run import build, tiny_config

from mmseg_ftu.engine.resume import ResumableCheckpointHook

TESTS = Path(__file__).resolve().parents[1]


def test_atomic_backend_leaves_the_old_file_when_writing_fails(tmp_path, monkeypatch):
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='atomic'))
    path = tmp_path / 'new folder' / 'a.pth'
    backend.put(b'old', path)

    def full_disk(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full_disk)
    with pytest.raises(OSError, match='No space left'):
        backend.put(b'new', path)
    assert path.read_bytes() == b'old'
    assert [p.name for p in path.parent.iterdir()] == ['a.pth']


@pytest.mark.parametrize('count', [0, 1])
def test_keeping_too_few_is_refused(count):
    with pytest.raises(ValueError, match=f'max_keep_ckpts={count}'):
        ResumableCheckpointHook(max_keep_ckpts=count)


def test_an_epoch_is_saved_after_its_validation(tmp_path):
    build(tiny_config(tmp_path)).train()
    names = sorted(p.name for p in tmp_path.glob('*.pth'))
    assert [n for n in names if n.startswith('epoch')] == ['epoch_3.pth', 'epoch_4.pth']
    assert len([n for n in names if n.startswith('best_Dice')]) == 1
    saved = torch.load(tmp_path / 'epoch_3.pth', weights_only=False)
    scheduler = saved['param_schedulers'][0]
    assert scheduler['last_step'] == 2  # 0-based: it has seen the third validation
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_4.pth')


def test_a_refused_run_leaves_the_config_of_what_was_trained(tmp_path):
    """mmengine writes the config before it has looked at the checkpoint."""
    cfg = tiny_config(tmp_path)
    object.__setattr__(cfg, '_filename', 'tiny.py')
    build(cfg).train()
    before = (tmp_path / 'tiny.py').read_text()
    other = tiny_config(tmp_path, **{'train_cfg.max_epochs': 6, 'resume': True})
    object.__setattr__(other, '_filename', 'tiny.py')
    other.model.decode_head.channels = 12  # weights of another shape
    with pytest.raises((RuntimeError, ValueError)):
        build(other).train()
    assert (tmp_path / 'tiny.py').read_text() == before
    longer = tiny_config(tmp_path, **{'train_cfg.max_epochs': 6, 'resume': True})
    object.__setattr__(longer, '_filename', 'tiny.py')
    build(longer).train()
    assert 'max_epochs=6' in (tmp_path / 'tiny.py').read_text()


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'train_cfg.val_interval': 3}, [1, 2, 3, 4]),
        ({'train_cfg.val_begin': 3}, [1, 2, 3, 4]),
        ({'default_hooks.checkpoint.interval': 2}, [2, 4]),
        ({'default_hooks.checkpoint.interval': 3}, [3, 4]),
        ({'default_hooks.checkpoint.save_begin': 3}, [3, 4]),
    ],
)
def test_which_epochs_are_saved(tmp_path, options, expected):
    cfg = tiny_config(tmp_path)
    cfg.default_hooks.checkpoint.update(max_keep_ckpts=-1, save_best=None)
    cfg.merge_from_dict(options)
    build(cfg).train()
    saved = sorted(int(p.stem.split('_')[1]) for p in tmp_path.glob('epoch_*.pth'))
    assert saved == expected


def test_dropout_depends_on_seed_and_epoch_only(tmp_path):
    from mmseg_ftu.engine.resume import EpochSeedHook

    def draw(epoch, seed):
        runner = type('Run', (), dict(epoch=epoch, seed=seed))
        EpochSeedHook().before_train_iter(runner, batch_idx=0)
        return torch.rand(4).tolist()

    assert draw(3, 0) == draw(3, 0)
    assert len({tuple(draw(e, s)) for e in range(3) for s in range(3)}) == 9
    state = torch.get_rng_state()
    EpochSeedHook().before_train_iter(None, batch_idx=1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=10, folds=5)


EXTRAS = {
    'as it ships': {},
    'average of the weights': dict(ema=True),
    # two iterations an epoch, a step each third: every epoch but the third waits
    'accumulation': {'optim_wrapper.accumulative_counts': 3},
    # as the U-Nets of configs/tissue do: what was not saved is trained again
    'every second epoch is saved': {'default_hooks.checkpoint.interval': 2},
}


@pytest.mark.parametrize('extra', mostly_slow(EXTRAS, []))
def test_resuming_is_exact_with_the_shipped_settings(data, tmp_path, extra):
    """Persistent workers, augmentation, dropout, drop path, batch norm, the switch."""

    def run(name, stop=None, **options):
        cfg = shipped_config(tmp_path / name, data, **EXTRAS[extra], **options)
        if stop:
            cfg.custom_hooks.append(dict(type='StopHook', epoch=stop))
        runner = build_shipped(cfg)
        with pytest.raises(KeyboardInterrupt) if stop else nullcontext():
            runner.train()
        end_workers(runner)

    run('whole')
    for stop in (1, 2):
        run('parts', stop, resume=stop > 1)
    run('parts', resume=True)
    whole, parts = (
        torch.load(tmp_path / name / 'epoch_4.pth', weights_only=False)
        for name in ('whole', 'parts')
    )
    assert_equal(whole['state_dict'], parts['state_dict'])
    assert_equal(whole.get('ema_state_dict', {}), parts.get('ema_state_dict', {}))
    assert_equal(whole['optimizer'], parts['optimizer'])


def assert_equal(one, other, name=''):
    """Compare nested tensors bit by bit."""
    assert type(one) is type(other), name
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key], f'{name} {key}')
    elif isinstance(one, (list, tuple)):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f'{name} {i}')
    else:
        assert one == other, name


# --- two processes ------------------------------------------------------------------


@pytest.fixture(scope='module')
def two(data, tmp_path_factory):
    """Return a function that trains in two processes and returns what both saw."""
    root = tmp_path_factory.mktemp('two')

    def train(name, result, **options):
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone']
        command += ['--nproc_per_node=2', str(TESTS / 'shipped_run.py')]
        command += [str(root / name), str(data), str(root / result)]
        command += [f'{key}={json.dumps(value)}' for key, value in options.items()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return [
            torch.load(root / f'{result}.{rank}', weights_only=False)
            for rank in range(2)
        ]

    train.root = root
    return train


@pytest.fixture(scope='module')
def whole(two):
    return two('whole', 'whole_result', **TWO)


TWO = {'ema': True, 'optim_wrapper.accumulative_counts': 3, 'train_cfg.max_epochs': 3}


@pytest.mark.slow
def test_processes_validate_the_same_model_which_is_the_one_that_is_saved(
    two, whole, data, tmp_path
):
    seen = [result['buffers'] for result in whole]
    assert len(seen[0]) == len(seen[1]) == 3  # validations
    assert any('running_var' in name for name in seen[0][0])
    assert_equal(seen[0], seen[1])
    (best,) = (two.root / 'whole').glob('best_Dice_epoch_*.pth')
    saved = torch.load(best, weights_only=False)['state_dict']
    epoch = int(best.stem.rpartition('_')[2])
    assert_equal(seen[0][epoch - 1], {k: saved[k] for k in seen[0][0]})

    cfg = shipped_config(tmp_path, data, workers=False, load_from=str(best))
    cfg.test_dataloader = cfg.val_dataloader
    metrics = build_shipped(cfg).test()
    assert metrics['Dice'] == pytest.approx(whole[0]['best'], abs=1e-5)


@pytest.mark.slow
def test_resuming_is_exact_in_two_processes(two, whole):
    two('parts', 'stopped', stop=1, **TWO)
    two('parts', 'resumed', resume=True, **TWO)
    one, other = (
        torch.load(two.root / name / 'epoch_3.pth', weights_only=False)
        for name in ('whole', 'parts')
    )
    assert_equal(one['state_dict'], other['state_dict'])
    assert_equal(one['ema_state_dict'], other['ema_state_dict'])
    assert_equal(one['optimizer'], other['optimizer'])
