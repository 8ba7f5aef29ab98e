"""Folders appear whole, and what killed processes left is tidied up."""

import os
import signal
import subprocess
import sys

import pytest

from mmseg_ftu.io.atomic_folders import remove_left_folders, replacing_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from mmseg_ftu.io import atomic_folders
place, step = Path(sys.argv[1]), sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if step == 'exchange':
    rename = Path.rename
    def half(self, target):  # the old one is away, the new one has no name yet
        if self.name == 'new':
            die()
        return rename(self, target)
    Path.rename = half
if step == 'removal':
    atomic_folders.shutil.rmtree = die
with atomic_folders.replacing_folder(place) as folder:
    (folder / 'a.txt').write_text('new')
    if step == 'writing':
        die()
"""


def fill_the_disk(place):
    with replacing_folder(place) as folder:
        (folder / 'a.txt').write_text('x')
        raise OSError('full')


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize('name', ['model', 'new', 'old', 'm' * 250])
def test_a_folder_is_made_and_replaced(tmp_path, name):
    place = tmp_path / name
    for text in ('first', 'second'):
        with replacing_folder(place) as folder:
            (folder / 'a.txt').write_text(text)
        assert content(place) == {'a.txt': text}
    assert os.listdir(tmp_path) == [name]


def test_a_failure_changes_nothing(tmp_path):
    place = tmp_path / 'model'
    for expected in ([], ['model']):
        with pytest.raises(OSError, match='full'):
            fill_the_disk(place)
        assert os.listdir(tmp_path) == expected
        place.mkdir(exist_ok=True)


@pytest.mark.parametrize('step', ['writing', 'exchange', 'removal'])
@pytest.mark.slow
def test_what_a_killed_process_left(tmp_path, step):
    place = tmp_path / 'model'
    place.mkdir()
    (place / 'a.txt').write_text('old')
    words = [sys.executable, '-c', KILLED, str(place), step]
    assert subprocess.run(words).returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 1 + (step != 'exchange')
    remove_left_folders(place)
    assert os.listdir(tmp_path) == ['model']
    assert content(place) == {'a.txt': 'new' if step == 'removal' else 'old'}


def test_what_others_write_or_own_stays(tmp_path):
    place = tmp_path / 'model'
    for name in ('.model.notes', '.other.12345678.tmp', '.model.x.12345678'):
        (tmp_path / name).mkdir()
    (tmp_path / '.model.1234abcd.tmp' / 'old' / 'model_2').mkdir(parents=True)
    before = sorted(os.listdir(tmp_path))
    with replacing_folder(place):
        remove_left_folders(place)  # as another process would
    assert sorted(os.listdir(tmp_path)) == sorted([*before, 'model'])
