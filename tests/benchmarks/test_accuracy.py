import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import accuracy
import accuracy_calibration
import accuracy_records
import pandas as pd
import pytest
from torch.utils.tensorboard import SummaryWriter


def rows(*dices):
    return [
        dict(image=f'{i}', group=f'{i % 2}', dice=d, dice_flips=d)
        for i, d in enumerate(dices)
    ]


def key(contestant='ours', fold=1, minutes=10.0):
    return dict(set='glas', contestant=contestant, minutes=minutes, fold=fold)


def test_runs_are_kept_by_set_and_fold(tmp_path):
    records = accuracy_records.Records(tmp_path / 'records')
    assert records.steps_of(key()) is None
    records.add(key() | dict(steps=7), rows(0.5, 0.7))
    records.add(key('peer') | dict(steps=3), rows(0.4))
    records.add(key(fold=2) | dict(steps=7), rows(0.9))
    names = sorted(p.name for p in (tmp_path / 'records').iterdir())
    assert names == ['glas_fold_1.csv', 'glas_fold_2.csv']
    assert records.steps_of(key()) == 7
    assert records.steps_of(key('peer')) == 3
    assert records.steps_of(key(minutes=5.0)) is None
    assert len(records.read()) == 4


def test_the_table_keeps_the_fold_of_tries_apart(tmp_path):
    records = accuracy_records.Records(tmp_path)
    records.add(key(fold=0) | dict(steps=7), rows(0.1, 0.1))
    records.add(key() | dict(steps=7), rows(0.5, 0.7))
    records.add(key('peer') | dict(steps=7), rows(0.9, 0.7))
    records.add(key(fold=2) | dict(steps=7), rows(0.9, 0.9))
    held_out, tries = records.table().split('Tries on fold 0')
    ours = next(line for line in held_out.splitlines() if '| ours |' in line)
    assert '| 1, 2 | 4 | 7 | 0.750 |' in ours
    assert held_out.index('| peer |') < held_out.index('| ours |')
    assert '| 0 | 2 | 7 | 0.100 |' in tries


def test_a_run_is_recorded_whole_or_not_at_all(tmp_path, monkeypatch):
    records = accuracy_records.Records(tmp_path)
    records.add(key() | dict(steps=7), rows(0.5, 0.7))

    def fail(*_):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'replace', fail)
        with pytest.raises(OSError, match=r'glas_fold_1\.csv'):
            records.add(key('peer') | dict(steps=7), rows(0.9, 0.7))
    assert records.steps_of(key('peer')) is None
    assert len(records.read()) == 2


def test_a_damaged_file_of_records_is_named(tmp_path):
    (tmp_path / 'glas_fold_1.csv').write_text('set,minutes\nglas,1\nglas,1,2,3\n')
    with pytest.raises(ValueError, match=r'glas_fold_1\.csv is not a table of runs'):
        accuracy_records.Records(tmp_path).read()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--minutes', '0'], 'give more than 0'),
        (['--minutes', 'nan'], 'give more than 0'),
        (['--folds', '0', '--rates', '0'], 'give more than 0'),
        (
            ['--folds', '0', '--variant', 'a=1', '--contestants', 'smp SegFormer-B0'],
            '--contestants has none',
        ),
    ],
)
def test_numbers_and_names_that_make_no_run(monkeypatch, capsys, words, message):
    monkeypatch.setattr(sys, 'argv', ['accuracy.py', *words])
    with pytest.raises(SystemExit):
        accuracy.parse_args()
    assert message in capsys.readouterr().err


def test_a_fold_that_a_set_lacks_is_said_before_any_training():
    tissue = SimpleNamespace(name='glas', table=pd.DataFrame(dict(fold=[0, 1, 1])))
    accuracy.check_folds([0, 1], [tissue])
    with pytest.raises(SystemExit, match='glas has no fold 7; it has 0, 1'):
        accuracy.check_folds([1, 7], [tissue])


def test_who_was_not_calibrated_is_said_before_any_training(tmp_path):
    calibration = dict(seconds=dict(a=2.0), threads=1)
    (tmp_path / 'calibration.json').write_text(json.dumps(calibration))
    records = accuracy_records.Records(tmp_path)
    args = SimpleNamespace(minutes=1.0, contestants=['a'])
    assert accuracy.steps_of(args, records) == {'a': 30}
    with pytest.raises(
        SystemExit, match=r'--minutes 0\.01 is too short for one step of a'
    ):
        accuracy.steps_of(SimpleNamespace(minutes=0.01, contestants=['a']), records)
    with pytest.raises(SystemExit, match='--calibrate --contestants "b" on an idle'):
        accuracy.steps_of(SimpleNamespace(minutes=1.0, contestants=['a', 'b']), records)


def test_the_table_says_how_far_ours_is_ahead(tmp_path):
    records = accuracy_records.Records(tmp_path)
    records.add(key() | dict(steps=7), rows(0.5, 0.8, 0.6, 0.7))
    records.add(key('peer') | dict(steps=7), rows(0.4, 0.8, 0.5))
    records.add(key('weak') | dict(steps=7), rows(0.1, 0.1, 0.1, 0.9))
    lines = records.table().splitlines()
    (ours,) = (line for line in lines if '| ours |' in line)
    assert '| +0.067 (' in ours  # to the better peer, on the three images of both
    assert all(
        line.endswith('|  |') for line in lines if 'peer' in line or 'weak' in line
    )


def test_contestants_are_timed_by_turns(tmp_path, capsys):
    order = []

    def timer(name, seconds):
        values = iter(seconds)
        return lambda threads: order.append(name) or next(values)

    timers = dict(a=timer('a', (3.0, 1.0, 1.5)), b=timer('b', (2.0, 2.5, 9.0)))
    accuracy_calibration.calibrate(timers, 3, 2, tmp_path)
    assert order == ['a', 'b'] * 3
    assert accuracy_calibration.read(tmp_path) == dict(a=1.5, b=2.5)
    kept = json.loads((tmp_path / 'calibration.json').read_text())['rounds']
    assert kept == dict(a=[3.0, 1.0, 1.5], b=[2.0, 2.5, 9.0])
    accuracy_calibration.calibrate(dict(a=timer('a', (4.0,))), 1, 2, tmp_path)
    assert accuracy_calibration.read(tmp_path) == dict(a=4.0, b=2.5)


def test_a_reference_keeps_its_seconds(tmp_path, capsys):
    def timer(*seconds):
        values = iter(seconds)
        return lambda threads: next(values)

    accuracy_calibration.calibrate(
        dict(a=timer(1.0), b=timer(2.0), c=timer(4.0)), 1, 2, tmp_path
    )
    slower = dict(a=timer(3.0, 6.0, 2.0), b=timer(3.0, 2.0, 2.0))
    accuracy_calibration.calibrate(slower, 3, 2, tmp_path, reference='b')
    assert accuracy_calibration.read(tmp_path) == dict(a=2.0, b=2.0, c=4.0)
    with pytest.raises(SystemExit, match='calibrate "d" first'):
        accuracy_calibration.calibrate(slower, 3, 2, tmp_path, reference='d')


def test_ends_of_steps_are_those_of_the_log(tmp_path):
    with SummaryWriter(str(tmp_path / 'run' / 'vis_data')) as writer:
        for step in range(12_000):  # more than TensorBoard shows by default
            writer.add_scalar('loss', 1.0, step, walltime=100.0 + step)
            writer.add_scalar('lr', 1.0, step, walltime=1.0)
    ends = accuracy_calibration.ends_of_steps(tmp_path)
    assert ends == [100.0 + step for step in range(12_000)]


@pytest.mark.parametrize(
    ('options', 'steps'),
    [((), 3), (('train_dataloader.batch_size=4', 'x.lr=1'), 5)],
)
def test_steps_of_an_epoch(options, steps):
    root = Path(__file__).resolve().parents[2]
    config = root / 'configs' / 'tissue' / 'resnet18_unet.py'
    tissue = SimpleNamespace(ids=lambda fold, held_out: ['x'] * (9 if held_out else 17))
    assert accuracy_calibration.steps_of_epoch(config, tissue, 1, options) == steps


def test_without_a_calibration_nothing_runs(tmp_path):
    with pytest.raises(SystemExit, match='--calibrate'):
        accuracy_calibration.read(tmp_path)


def test_names_of_images_stay_text(tmp_path):
    records = accuracy_records.Records(tmp_path)
    records.add(
        key() | dict(steps=1), [dict(image='007', group='01', dice=1, dice_flips=1)]
    )
    assert records.read().image.tolist() == ['007']
    assert isinstance(records.read(), pd.DataFrame)
