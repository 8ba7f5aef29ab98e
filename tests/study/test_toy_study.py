"""A study of two arms, trained for real: killed, gone on with by two, reported.

The commands are those of a user, in processes of their own.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from toy_study import notes, write_study

ROOT = Path(__file__).resolve().parents[2]
FIRST = 'slim_normal_f0_s0'


@pytest.fixture(scope='module')
def study(make_prepared_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    data = make_prepared_once(n=8, folds=2)
    return write_study(folder, data, seeds=[0], epochs=4, curve_points=4)


def command(study, out, action, *options):
    return [
        *(sys.executable, ROOT / 'tools' / 'study.py', action, study.path),
        *('--out', out, *options),
    ]


def call(study, out, action, *options):
    done = subprocess.run(
        command(study, out, action, *options), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(pattern, folder):
    for _ in range(6000):
        if any(folder.glob(pattern)):
            return
        time.sleep(0.1)
    raise AssertionError(f'{pattern} did not come in {folder}')


def kill_with_children(worker, out):
    """Kill a worker, then the process of its run, as a machine that goes down does."""
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    for entry in Path('/proc').glob('[0-9]*'):
        words = (entry / 'cmdline').read_bytes().split(b'\0') if entry.is_dir() else []
        if os.fsencode(out) in words and FIRST.encode() in words:
            os.kill(int(entry.name), signal.SIGKILL)


@pytest.mark.slow
def test_a_study_is_killed_resumed_by_two_and_reported(study, tmp_path):
    out = tmp_path / 'out'
    assert '4 runs, 4 of them new' in call(study, out, 'plan')

    worker = subprocess.Popen(command(study, out, 'run'), stdout=subprocess.DEVNULL)
    wait_for('epoch_*.pth', out / 'runs' / FIRST / 'work')
    kill_with_children(worker, out)
    assert not notes(out)
    time.sleep(1)  # until the claim has ended with the last process
    assert '0 of 4 runs done' in call(study, out, 'status')

    two = [
        subprocess.Popen(command(study, out, 'run'), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0].splitlines()[-1] for process in two]
    assert [process.returncode for process in two] == [0, 0]
    assert sum(int(line.split()[0]) for line in said) == 4
    assert call(study, out, 'status').splitlines()[-1].startswith('4 of 4 runs done')

    runs = out / 'runs'
    sessions = {p.name: len([*(p / 'work').glob('*/vis_data')]) for p in runs.iterdir()}
    assert sessions.pop(FIRST) == 2  # it went on
    assert set(sessions.values()) == {1}  # each of the others was done once
    assert not [*out.rglob('*.pth')]
    note = notes(out)[FIRST]
    assert [x for x, _ in note['curves']['loss']] == [1, 2, 3, 4]

    records = tmp_path / 'records'
    assert '4 of 4 runs collected' in call(study, out, 'collect', '--into', records)
    options = ('--records', records, '--figures', tmp_path / 'figures')
    call(study, tmp_path / 'report', 'report', *options)
    results = pd.read_csv(tmp_path / 'report' / 'results.csv')
    scores = pd.read_csv(records / 'toy_slim.csv')
    assert len(scores) == 2 * 8
    means = scores.groupby('arm').dice.mean()
    expected = means['switch'] - means['normal']
    assert results.difference[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_run_by_hand_scores_the_same(study, tmp_path):
    """The config in the folder of a run is all that it takes to repeat it."""
    out = tmp_path / 'out'
    call(study, out, 'plan')
    call(study, out, 'run', '--only', f'id={FIRST}', '--keep-checkpoints')
    config = out / 'runs' / FIRST / 'config.py'
    assert [*(out / 'runs' / FIRST / 'work').glob('epoch_4.pth')]
    train = [sys.executable, ROOT / 'tools' / 'train.py', config]
    subprocess.run([*train, '--work-dir', tmp_path / 'hand'], check=True)
    test = [sys.executable, ROOT / 'tools' / 'test.py', config]
    test += [tmp_path / 'hand' / 'epoch_4.pth', '--out', tmp_path / 'scores']
    subprocess.run([*test, '--work-dir', tmp_path / 'hand'], check=True)
    by_hand = pd.read_csv(tmp_path / 'scores' / 'dice_per_image.csv')
    recorded = pd.read_csv(out / 'records' / f'{FIRST}.csv')
    assert by_hand.img_id.tolist() == recorded.image.tolist()
    assert by_hand.dice.to_numpy() == pytest.approx(recorded.dice.to_numpy(), abs=1e-3)
