import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmseg_ftu.io.atomic_files import (
    remove_leftovers,
    replacing,
    write_bytes,
    write_png,
)

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
import time
from pathlib import Path
from mmseg_ftu.io.atomic_files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text('half')
    print('begun', flush=True)
    sys.stdin.read()
"""


def test_write_png_keeps_pixels_and_channels(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    before = rgb.copy()
    write_png(tmp_path / 'a.png', rgb)
    np.testing.assert_array_equal(rgb, before)
    np.testing.assert_array_equal(cv2.imread(tmp_path / 'a.png')[..., ::-1], rgb)
    write_png(tmp_path / 'm.png', rgb[..., 0])
    mask = cv2.imread(tmp_path / 'm.png', cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, rgb[..., 0])
    assert sorted(os.listdir(tmp_path)) == ['a.png', 'm.png']


def test_masks_are_run_lengths_smaller_than_opencvs(tmp_path):
    mask = cv2.circle(np.zeros((600, 600), np.uint8), (300, 300), 200, 1, -1)
    write_png(tmp_path / 'm.png', mask)
    _, usual = cv2.imencode('.png', mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert (tmp_path / 'm.png').stat().st_size < len(usual) / 2
    assert (cv2.imread(tmp_path / 'm.png', cv2.IMREAD_UNCHANGED) == mask).all()


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch, call):
    path = tmp_path / 'a.txt'
    write_bytes(path, b'old')

    def fail(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=r'No space left on device: .*a\.txt'):
        write_bytes(path, b'new and longer')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / 'a.txt'
    with replacing(path) as first:
        first.write_text('first')
        with replacing(path) as second:
            second.write_text('second')
        assert path.read_text() == 'second'
    assert path.read_text() == 'first'
    assert os.listdir(tmp_path) == ['a.txt']


def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / 'plain').touch()
    write_bytes(tmp_path / 'a.txt', b'a')
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_long_names(tmp_path):
    for name in ('a' * 255, 'ü' * 127):
        write_bytes(tmp_path / name, b'a')
        assert (tmp_path / name).read_bytes() == b'a'


def hold(path):
    """Start a process that writes a file and waits half way."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, path],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == 'begun\n'
    return process


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(tmp_path):
    path = tmp_path / 'a.txt'
    dead, living = hold(path), hold(path)
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    (tmp_path / '.theirs.tmp').touch()
    assert len(os.listdir(tmp_path)) == 3
    remove_leftovers(tmp_path, 'other.txt')
    assert len(os.listdir(tmp_path)) == 3
    remove_leftovers(tmp_path, 'a.txt')
    (left,) = {*os.listdir(tmp_path)} - {'.theirs.tmp'}
    remove_leftovers(tmp_path)
    assert left in os.listdir(tmp_path)
    living.communicate()
    assert living.returncode == 0
    assert path.read_text() == 'half'
    assert sorted(os.listdir(tmp_path)) == ['.theirs.tmp', 'a.txt']


def test_on_a_disk_without_locks_old_leftovers_go(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    old, new = tmp_path / '.a.pth.01234567.tmp', tmp_path / '.b.pth.01234567.tmp'
    for path in (old, new):
        path.write_bytes(b'half')
    long_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(old, (long_ago, long_ago))
    assert remove_leftovers(tmp_path) == [old]
    assert os.listdir(tmp_path) == [new.name]
