"""Which checkpoint a run goes on from, and what killed writes leave."""

import logging
import os
import shutil

import pytest
import torch
from mmengine.fileio import get_file_backend
from mmengine.logging import MMLogger
from tiny_run import build, tiny_config

from mmseg_ftu.engine.checkpoint_files import find_resumable, remove_partials


@pytest.fixture
def folder(tmp_path):
    """A work dir with three checkpoints."""
    folder = tmp_path / 'run'
    folder.mkdir()
    for epoch in (9, 10, 11):
        save(folder / f'epoch_{epoch}.pth')
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_11.pth'))
    return folder


@pytest.fixture
def said(request):
    """What is written into the log, line by line."""
    logger = MMLogger.get_instance(request.node.name)  # is the current one from now on
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    return lines


def save(path):
    torch.save(dict(meta={}, state_dict=dict(a=torch.arange(1000.0))), path)


def find(folder):
    path = find_resumable(folder, folder, 'epoch_{}.pth')
    return path and path.relative_to(folder).as_posix()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b'')


@pytest.mark.parametrize('spoil', [truncate, flip_a_bit, empty])
def test_a_damaged_checkpoint_is_passed_over_and_named(folder, spoil, said):
    spoil(folder / 'epoch_11.pth')
    assert find(folder) == 'epoch_10.pth'
    assert any(f'{folder}/epoch_11.pth' in line for line in said)
    assert 'is damaged' in said[0]
    assert f'going on from {folder}/epoch_10.pth instead' in said[-1]
    spoil(folder / 'epoch_10.pth')
    assert find(folder) == 'epoch_9.pth'
    spoil(folder / 'epoch_9.pth')
    with pytest.raises(ValueError, match=r'no intact checkpoint .*epoch_10\.pth'):
        find(folder)


@pytest.mark.parametrize('note', ['', '/moved/away/epoch_12.pth', '\0\0', None])
def test_without_a_usable_note_the_files_are_looked_at(folder, note, said):
    (folder / 'last_checkpoint').unlink()
    if note is not None:
        (folder / 'last_checkpoint').write_text(note)
    assert find(folder) == 'epoch_11.pth'
    assert ['looking at the files' in line for line in said] == [True] * (
        note is not None
    )


def test_a_copied_folder_goes_on_from_its_own_files(folder, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(folder, copy)
    assert find(copy) == 'epoch_11.pth'  # relative to the copy
    shutil.rmtree(folder)
    assert find(copy) == 'epoch_11.pth'


def test_what_an_older_longer_run_left_is_not_taken(folder):
    save(folder / 'epoch_120.pth')
    assert find(folder) == 'epoch_11.pth'
    truncate(folder / 'epoch_11.pth')
    assert find(folder) == 'epoch_10.pth'


def test_an_empty_folder_has_nothing(tmp_path):
    assert find(tmp_path) is None


def test_refused_content_is_not_passed_over(folder):
    torch.save(dict(meta=print), folder / 'epoch_11.pth')
    with pytest.raises(ValueError, match=r'epoch_11\.pth is refused'):
        find(folder)


def test_leftovers_are_removed_and_named(tmp_path, said):
    gone = ['.epoch_3.pth.0123abcd.tmp', '.last_checkpoint.89abcdef.tmp']
    kept = ['.notes.txt.17', '.epoch_3.pth.tmp', 'epoch_3.pth', '.hidden']
    for name in gone + kept:
        (tmp_path / name).write_bytes(b'half')
    remove_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept}
    assert said == [
        f'{tmp_path / name}: left half written by a killed run, removed'
        for name in gone
    ]


def test_what_a_writer_leaves_is_recognised(tmp_path, monkeypatch):
    """The name that a killed write has is one that the next start removes."""
    backend = get_file_backend(str(tmp_path), backend_args=dict(backend='atomic'))
    seen = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, 'fsync', lambda file: (seen.extend(tmp_path.iterdir()), fsync(file))
    )
    backend.put(b'a', tmp_path / 'epoch_1.pth')
    (partial,) = seen
    partial.write_bytes(b'half')
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_1.pth']


@pytest.mark.slow
def test_a_run_goes_on_before_its_damaged_checkpoint(tmp_path):
    """The whole way: damage, a lost note, a leftover, ``--resume``."""
    short = {'train_cfg.max_epochs': 3}
    build(tiny_config(tmp_path, **short)).train()
    truncate(tmp_path / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text('')
    (tmp_path / '.epoch_4.pth.01234567.tmp').write_bytes(b'half')
    cfg = tiny_config(tmp_path, resume=True)
    cfg.experiment_name += '_resumed'
    runner = build(cfg)
    runner.train()
    log = sorted(tmp_path.glob('*/*.log'))[-1].read_text()
    assert 'epoch_3.pth' in log
    assert f'going on from {tmp_path}/epoch_2.pth instead' in log
    assert runner.epoch == 4
    assert sorted(path.name for path in tmp_path.glob('*epoch_[34].pth*'))[-2:] == [
        'epoch_3.pth',
        'epoch_4.pth',
    ]
    assert not list(tmp_path.glob('.epoch*'))


def test_resume_of_nothing_begins_at_the_beginning_and_says_so(tmp_path):
    runner = build(tiny_config(tmp_path, resume=True))
    runner.train()
    assert runner.epoch == 4
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'no checkpoint in {tmp_path}, so training begins at epoch 1' in log
