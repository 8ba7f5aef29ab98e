"""submitit's executor of this machine in place of SLURM."""

import builtins

import pytest
from toy_study import finish, plan, write_study

from mmseg_ftu.study.submit import StudyWorker, submit_workers


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
    with pytest.raises(ValueError, match=r'--executor local: .*partitio'):
        submit_workers(study.path, tmp_path, 1, {}, dict(partitio='a'), 'local')


def test_without_submitit(tmp_path, study, monkeypatch):
    real = builtins.__import__

    def lacking(name, *args, **kwargs):
        if name == 'submitit':
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', lacking)
    with pytest.raises(ImportError, match=r"pip install 'mmseg_ftu\[study\]'"):
        submit_workers(study.path, tmp_path, 1, {}, {})
