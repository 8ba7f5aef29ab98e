"""The report as a user asks for it, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def report(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'report.py', *map(str, arguments)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        check=False,
        timeout=120,
    )


def test_real_tissue_gives_a_small_page(shared_data, tmp_path):
    tissue = shared_data('kidney_glomeruli_pas')
    predicted = tmp_path / 'masks'
    predicted.mkdir()
    for path in sorted((tissue / 'masks').glob('*.png'))[:4]:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        eroded = cv2.erode(mask, np.ones((9, 9), np.uint8))
        cv2.imwrite(str(predicted / path.name), eroded)
    done = report(
        *(predicted, '--gt', tissue / 'masks', '--out', tmp_path / 'report.html'),
        *('--images', 1, '--thumbnail', 256),
    )
    assert done.returncode == 0, done.stderr
    assert f'wrote {tmp_path / "report.html"}' in done.stdout
    text = (tmp_path / 'report.html').read_text()
    assert text.count('data:image/jpeg') == 2
    assert len(text) < 250_000


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nowhere'], 'error: nowhere: no such folder'),
        (['masks', '--run', 'nowhere'], 'error: --run nowhere is not a folder'),
    ],
)
def test_wrong_input_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'masks').mkdir()
    cv2.imwrite('masks/a.png', np.zeros((4, 4), np.uint8))
    done = report(*arguments)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith(message)
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.rglob('*.html'))
