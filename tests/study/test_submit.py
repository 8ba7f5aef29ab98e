"""submitit's executor of this machine in place of SLURM."""

import builtins
import importlib
from contextlib import suppress
from unittest.mock import patch

import pytest
from toy_study import SLIM, finish, plan, write_study

from mmseg_ftu.study.command import run_plan
from mmseg_ftu.study.submit import StudyWorker, submit_workers


@pytest.fixture(scope='module', autouse=True)
def _loggers_stay():
    """Import submitit without its set-up of logging, which closes all log files."""
    with patch('logging.config.dictConfig'), suppress(ImportError):
        importlib.import_module('submitit')


@pytest.fixture
def study(tmp_path, make_prepared):
    study = write_study(tmp_path, make_prepared(n=8, folds=2))
    finish(tmp_path / 'out', plan(study, tmp_path / 'out'))
    return study


@pytest.mark.slow
def test_workers_are_submitted_as_one_array(tmp_path, study):
    pytest.importorskip('submitit')
    out = tmp_path / 'out'
    jobs = submit_workers(
        study.path, out, 2, dict(threads=1), dict(timeout_min=5), 'local'
    )
    assert [job.result() for job in jobs] == ['0 runs done, 0 failed, 0 left'] * 2
    assert '8 of 8 runs done' in jobs[0].stdout()


def test_a_worker_that_is_stopped_is_sent_again(tmp_path, study):
    pytest.importorskip('submitit')
    worker = StudyWorker(study.path, tmp_path / 'out', dict(threads=1))
    again = worker.checkpoint()
    assert again.function is worker


def test_a_parameter_that_submitit_does_not_know(tmp_path, study):
    pytest.importorskip('submitit')
    with pytest.raises(ValueError, match=r'--executor local --slurm .*partitio'):
        submit_workers(study.path, tmp_path, 1, {}, dict(partitio='a'), 'local')


@pytest.mark.parametrize(
    ('only', 'message'),
    [(['arm=nope'], 'the plan has no arm nope'), ([], 'is not the study that was')],
)
def test_what_cannot_run_is_not_submitted(tmp_path, study, only, message):
    if not only:
        options = {'options': SLIM | {'optim_wrapper.optimizer.lr': 1.0}}
        write_study(tmp_path, study.data, **options)
    with pytest.raises(ValueError, match=message):
        run_plan(study.path, tmp_path / 'out', executor='slurm', only=only)
    assert not (tmp_path / 'out' / 'slurm').exists()


def test_a_folder_of_records_that_is_not_there(tmp_path, study, capsys):
    with pytest.raises(ValueError, match=r'--records .*none: there is no such folder'):
        run_plan(study.path, tmp_path / 'out', records=[tmp_path / 'none'])
    (tmp_path / 'empty').mkdir()
    assert run_plan(study.path, tmp_path / 'out', records=[tmp_path / 'empty']) == 0
    assert 'empty holds no runs of toy' in capsys.readouterr().err


def test_without_submitit(tmp_path, study, monkeypatch):
    real = builtins.__import__

    def lacking(name, *args, **kwargs):
        if name == 'submitit':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', lacking)
    with pytest.raises(ImportError, match=r"pip install 'mmseg_ftu\[study\]'"):
        submit_workers(study.path, tmp_path, 1, {}, {})
