"""``mmseg-ftu view`` as a user starts and ends it."""

import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from mmseg_ftu.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_ctrl_c_ends_it_with_a_sentence(folder, tmp_path):
    path = folder.add().write()
    command = [sys.executable, str(ROOT / 'tools' / 'view.py'), str(path)]
    with subprocess.Popen(
        [*command, '--no-browser', '--port', '0'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # a shell may have told its background jobs to ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        line = process.stdout.readline()
        assert line.startswith(f'{path}: 1 image at http://127.0.0.1:')
        url = line.split(' at ')[1].split()[0]
        with urlopen(f'{url}images.json', timeout=60) as answer:
            assert b'"id":"a"' in answer.read()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert error.startswith('stopped')
        assert len(error.splitlines()) == 1


def test_labels_without_ground_truth_are_refused(folder, capsys):
    path = str(folder.add().write())
    for words in (['--ignore', '5'], ['--foreground', '2']):
        assert main(['view', path, '--no-browser', *words]) == 2
        assert f'{words[0]} says what labels of --gt mean' in capsys.readouterr().err
