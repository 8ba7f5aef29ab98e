"""Checkpoints after validation, atomic; what a resumed run needs beyond the switch."""

import os

import pytest
import torch
from mmengine.fileio import get_file_backend
from tiny_run import build, tiny_config

from mmseg_ftu.resume import ResumableCheckpointHook


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
    from mmseg_ftu.resume import EpochSeedHook

    def draw(epoch, seed):
        runner = type('Run', (), dict(epoch=epoch, seed=seed))
        EpochSeedHook().before_train_epoch(runner)
        return torch.rand(4).tolist()

    assert draw(3, 0) == draw(3, 0)
    assert len({tuple(draw(e, s)) for e in range(3) for s in range(3)}) == 9
