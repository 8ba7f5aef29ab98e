"""Two processes that prepare one folder."""

import os

import pytest

from mmseg_ftu.io.locks import take_lock
from mmseg_ftu.preparation.folder_lock import held, refusing_others, require_free
from mmseg_ftu.preparation.journal import LOCK, Journal
from mmseg_ftu.preparation.records import PreparationError


def test_the_second_is_refused_while_the_first_writes(tmp_path):
    folder = tmp_path / 'prepared'
    require_free(folder)
    assert not folder.exists()
    journal = Journal(folder)
    with held(folder, journal):
        with pytest.raises(PreparationError, match='another process is preparing it'):
            require_free(folder)
        with (
            pytest.raises(PreparationError, match='another process is preparing it'),
            held(folder, journal),
        ):
            pass
    require_free(folder)
    assert list(folder.iterdir()) == []


def test_what_another_did_after_the_folder_was_read_is_noticed(tmp_path):
    before = Journal(tmp_path)
    with held(tmp_path, before):
        Journal(tmp_path).begin(dict(size=64), {}, {'a'})
    with (
        pytest.raises(PreparationError, match='has prepared it meanwhile'),
        held(tmp_path, before),
    ):
        pass
    with held(tmp_path, Journal(tmp_path)):
        pass


def refuse(folder, before):
    with refusing_others(folder, before):
        raise PreparationError('in the way')


def test_files_of_another_process_are_not_in_the_way(tmp_path):
    before = Journal(tmp_path)
    with pytest.raises(PreparationError, match='in the way'):
        refuse(tmp_path, before)
    with held(tmp_path, before):
        Journal(tmp_path).begin(dict(size=64), {}, {'a'})
        with pytest.raises(PreparationError, match='another process is preparing it'):
            refuse(tmp_path, before)
    with pytest.raises(PreparationError, match='has prepared it meanwhile'):
        refuse(tmp_path, before)


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    os.close(take_lock(tmp_path / LOCK))
    assert (tmp_path / LOCK).exists()
    require_free(tmp_path)
    with held(tmp_path, Journal(tmp_path)):
        pass
