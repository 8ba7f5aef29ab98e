"""The best checkpoint exists at any moment, and there is one for each metric."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from killed_run import look_at, train
from mmengine.hooks import Hook
from tiny_run import build, tiny_config

from mmseg_ftu.engine.safe_checkpoints import load_local

KILLED_RUN = Path(__file__).resolve().parents[1] / 'killed_run.py'
SCORES = dict(Dice=[0.1, 0.2, 0.3, 0.4], error=[0.9, 0.8, 0.7, 0.6])
LOWER = dict(Dice=[0.1, 0.2, 0.1, 0.2], error=[0.9, 0.8, 0.9, 0.8])


class StopHook(Hook):
    priority = 'HIGHEST'

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            raise KeyboardInterrupt


def train_until(epoch, work_dir, scores, **options):
    with pytest.raises(KeyboardInterrupt):
        train(work_dir, scores, StopHook(epoch), **options)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_best_that_the_state_names(tmp_path):
    """Real processes, killed before each change of files after a validation.

    The resumed runs score lower than the killed ones, so that a best checkpoint which
    the state doesn't know would stay for ever.
    """
    arguments = (tmp_path, json.dumps(SCORES), json.dumps(LOWER))
    done = subprocess.run(
        [sys.executable, KILLED_RUN, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    operations = [row['operation'].split()[0] for row in rows]
    assert operations == ['os.rename'] * 4 + ['os.remove'] * 3
    for row in rows:
        killed, resumed = row['killed'], row['resumed']
        assert killed['last'] in killed['files'], row
        assert len(killed['best']) == 2
        assert set(killed['best'].values()) <= set(killed['files']), row
        assert row['exit'] == 0
        assert resumed['epochs'] == [3, 4], row
        assert resumed['last'] == 'epoch_4.pth'
        best = [name for name in resumed['files'] if name.startswith('best')]
        assert best == sorted(resumed['best'].values()), row
        assert len(resumed['files']) == 4, row  # nothing half written
        assert resumed['scores'] == killed['scores'], row


def test_one_best_file_of_each_metric_is_left(tmp_path):
    scores = dict(Dice=[0.1, 0.4, 0.3, 0.2], error=[0.9, 0.8, 0.7, 0.8])
    train(tmp_path, scores)
    left = look_at(tmp_path)
    assert left['files'] == [
        'best_Dice_epoch_2.pth',
        'best_error_epoch_3.pth',
        'epoch_3.pth',
        'epoch_4.pth',
    ]
    assert left['scores'] == dict(best_score_Dice=0.4, best_score_error=0.7)
    saved = load_local(tmp_path / 'best_Dice_epoch_2.pth')
    assert saved['message_hub']['runtime_info']['best_score_Dice'] == 0.4


@pytest.mark.parametrize('strange', [math.inf, -math.inf, math.nan])
def test_a_score_that_is_not_finite_is_not_ranked(tmp_path, strange):
    scores = dict(Dice=[0.1, strange, 0.2, 0.1], error=[0.3, strange, 0.2, 0.4])
    train(tmp_path, scores)
    left = look_at(tmp_path)
    assert left['scores'] == dict(best_score_Dice=0.2, best_score_error=0.2)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert f'Dice is {strange}: this epoch is not ranked' in log


def test_an_unknown_metric_is_named(tmp_path):
    cfg = tiny_config(tmp_path)
    cfg.default_hooks.checkpoint.save_best = 'mDice'
    with pytest.raises(ValueError, match=r"save_best='mDice' is not a metric .*Dice"):
        build(cfg).train()


def test_a_copied_run_leaves_the_best_of_the_original_alone(tmp_path):
    original, copy = tmp_path / 'original', tmp_path / 'copy'
    train_until(2, original, SCORES)
    shutil.copytree(original, copy)
    before = look_at(original)
    train(copy, SCORES, resume=True)
    assert look_at(original) == before
    assert [n for n in look_at(copy)['files'] if 'best_Dice' in n] == [
        'best_Dice_epoch_4.pth'
    ]


def test_the_best_of_an_older_run_in_the_folder_is_left_alone(tmp_path):
    train(tmp_path, dict(Dice=[0.1, 0.2, 0.5, 0.1]))
    train_until(2, tmp_path, dict(Dice=[0.1, 0.2, 0.1, 0.1]))
    train(tmp_path, dict(Dice=[0.1, 0.2, 0.1, 0.4]), resume=True)
    assert [n for n in look_at(tmp_path)['files'] if 'best' in n] == [
        'best_Dice_epoch_3.pth',
        'best_Dice_epoch_4.pth',
    ]


def test_after_a_damaged_state_the_later_best_is_adopted(tmp_path):
    """Epoch 2 names a best checkpoint that epoch 3 has replaced and deleted."""
    train_until(3, tmp_path, dict(Dice=[0.1, 0.2, 0.3, 0.4]))
    (tmp_path / 'epoch_3.pth').write_bytes(b'')
    train(tmp_path, dict(Dice=[0.1, 0.2, 0.25, 0.25]), resume=True)
    left = look_at(tmp_path)
    assert left['best'] == dict(best_ckpt='best_Dice_epoch_3.pth')
    assert left['scores'] == dict(best_score=0.3)
    assert 'best_Dice_epoch_3.pth' in left['files']


def test_without_its_file_a_best_score_is_forgotten(tmp_path):
    train_until(2, tmp_path, dict(Dice=[0.1, 0.9, 0.3, 0.4]))
    (tmp_path / 'best_Dice_epoch_2.pth').unlink()
    train(tmp_path, dict(Dice=[0.1, 0.9, 0.3, 0.4]), resume=True)
    assert look_at(tmp_path)['best'] == dict(best_ckpt='best_Dice_epoch_4.pth')
    log = sorted(tmp_path.glob('*/*.log'))[-1].read_text()
    assert 'is not there, so the ranking by Dice begins anew' in log
