"""tools/evaluate.py and tools/fit_thresholds.py in real processes."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import tifffile

ROOT = Path(__file__).resolve().parents[2]


def run(*command):
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )


def test_evaluate(make_prepared, tmp_path):
    prepared = make_prepared(n=4, name='pre pared')
    pred, out = prepared / 'masks_original', tmp_path / 'out'
    done = run('tools/evaluate.py', pred, prepared, '--out', out)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(out / 'evaluation.csv').dice.tolist() == [1, 1, 1, 1]
    assert '| all ' in done.stdout
    assert 'Traceback' not in done.stderr
    assert '4/4' in done.stderr  # the progress bar
    (pred / '102.png').rename(tmp_path / '102.png')
    done = run('tools/evaluate.py', pred, tmp_path / 'nowhere')
    assert done.returncode == 2
    assert done.stderr.startswith(f'error: {tmp_path / "nowhere"}: no such folder')


def test_fit_thresholds(make_prepared, tmp_path):
    prepared = make_prepared(n=4, organs=('kidney',))
    pred, out = tmp_path / 'pred', tmp_path / 'thresholds.json'
    (pred / 'probabilities').mkdir(parents=True)
    for path in (prepared / 'masks_original').iterdir():
        levels = cv2.imread(str(path), -1) * 90
        tifffile.imwrite(
            pred / 'probabilities' / f'{path.stem}.tif', levels.astype(np.uint8)
        )
    (pred / 'predictions.csv').write_text('id\n100\n101\n102\n103\n')
    done = run('tools/fit_thresholds.py', prepared, pred, '--out', out)
    assert done.returncode == 0, done.stderr
    assert 'only 2 images' in done.stdout
    assert 0 < json.loads(out.read_text())['thresholds']['HPA']['kidney'] < 90 / 255
    done = run('tools/fit_thresholds.py', prepared, pred, pred, '--out', out)
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert 'both predict 100, 101, 102, 103' in done.stderr
