"""Locks that wait, alone and shared."""

import fcntl
import os

import pytest

from mmseg_ftu.io.locks import (
    is_locked,
    locked,
    locked_folder,
    take_lock,
    wait_for_lock,
)


def test_a_shared_lock_keeps_out_only_who_wants_it_alone(tmp_path):
    path = tmp_path / 'lock'
    first, second = (wait_for_lock(path, shared=True) for _ in range(2))
    os.close(first)
    assert take_lock(path) is None
    os.close(second)
    os.close(take_lock(path))


def test_a_lock_is_given_back_after_an_error(tmp_path):
    path = tmp_path / 'lock'

    def fail():
        with locked(path):
            assert take_lock(path) is None
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    os.close(take_lock(path))


def test_a_look_at_a_lock_needs_no_right_to_write(tmp_path, monkeypatch):
    path = tmp_path / 'lock'
    assert not is_locked(path)  # and makes no file
    assert not path.exists()
    handle, flags, real = take_lock(path), [], os.open
    monkeypatch.setattr(os, 'open', lambda p, f: flags.append(f) or real(p, f))
    assert is_locked(path)
    os.close(handle)
    assert not is_locked(path)
    assert flags == [os.O_RDONLY] * 2


def test_a_folder_is_locked_without_a_file_in_it(tmp_path):
    with locked_folder(tmp_path):
        other = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert os.listdir(tmp_path) == []
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_what_fails_in_a_locked_folder_is_not_taken_for_a_lack_of_locks(tmp_path):
    full = OSError(28, 'No space left on device')
    with pytest.raises(OSError, match='No space') as error, locked_folder(tmp_path):
        raise full
    assert error.value is full


def test_a_disk_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    with pytest.raises(OSError, match='lock: this disk supports no locks'):
        wait_for_lock(tmp_path / 'lock')
