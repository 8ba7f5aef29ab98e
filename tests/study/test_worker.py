"""Workers with a stand-in for training: claims, failures, kills, signals."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from quick_and_slow import mostly_slow
from toy_study import notes, plan, record, write_study

from mmseg_ftu.study.plan import choose_runs
from mmseg_ftu.study.progress import describe_study, remaining_time
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.run_study import share_of_processors, stopping_signals
from mmseg_ftu.study.study_folder import StudyFolder, claim
from mmseg_ftu.study.worker import ONE_RUN, Worker

STUB = [sys.executable, str(Path(__file__).with_name('stub_run.py'))]
FIRST, SECOND = 'slim_normal_f0_s0', 'slim_switch_f0_s0'


@pytest.fixture(scope='module')
def study(make_prepared_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    return write_study(folder, make_prepared_once(n=8, folds=2))


@pytest.fixture
def make_worker(study, tmp_path):
    """Return a function that makes a worker of the study in this test's folder."""
    runs = plan(study, tmp_path)

    def make(jobs=1, chosen=runs, records=(), keep=False):
        return Worker(
            study,
            StudyFolder(tmp_path),
            chosen,
            Records(tmp_path / 'records', records),
            jobs=jobs,
            keep=keep,
            threads=3,
            program=STUB,
        )

    return make


def begun(out, name):
    """Return what each process of a run saw of its environment."""
    lines = (out / 'runs' / name / 'begun.txt').read_text().splitlines()
    return [json.loads(line) for line in lines]


def wait_for(path):
    for _ in range(600):
        if path.exists() and path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f'{path} did not come')


def test_all_runs_are_done_once(tmp_path, make_worker, monkeypatch, capsys):
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('SLURM_PROCID', '1')
    worker = make_worker(jobs=3)
    summary = worker.work()
    assert (len(summary.done), summary.failed, summary.left) == (8, [], 0)
    assert set(notes(tmp_path)) == {run.id for run in worker.runs}
    for run in worker.runs:
        seen = dict(OMP_NUM_THREADS='3', RANK=None, SLURM_PROCID=None)
        assert begun(tmp_path, run.id) == [seen]
    assert not any((tmp_path / 'claims').iterdir())
    said = capsys.readouterr().out
    assert f'{FIRST}: Dice 0.5000, with TTA 0.6000; ' in said
    assert said.rstrip().endswith('8 of 8 runs done')
    again = make_worker().work()
    assert (again.done, again.left) == ([], 0)


def test_a_failed_run_stops_no_other(tmp_path, make_worker, monkeypatch, capsys):
    monkeypatch.setenv('BEHAVE', json.dumps({SECOND: 'fail'}))
    worker = make_worker(jobs=2)
    summary = worker.work()
    assert (len(summary.done), summary.failed, summary.left) == (7, [SECOND], 1)
    log = tmp_path / 'runs' / SECOND / 'log.txt'
    assert f'{SECOND} failed, see {log}' in capsys.readouterr().err
    failure = StudyFolder(tmp_path).failure(SECOND)
    assert 'exit code 1: begun | CUDA out of memory' in failure['reason']
    text = describe_study(worker.runs, tmp_path, [])
    assert f'failed: {SECOND}, exit code 1' in text
    assert '7 of 8 runs done\n' in text  # nothing is left to wait for
    monkeypatch.delenv('BEHAVE')
    again = make_worker().work()  # not by itself
    assert str(again) == (
        '0 runs done, 0 failed, 1 left; 1 had failed before (--retry does them again)'
    )
    retry = make_worker()
    retry.forget_failures()
    assert retry.work().done == [SECOND]
    assert 'failed:' not in describe_study(worker.runs, tmp_path, [])


def test_a_run_of_another_worker_is_left_to_it(tmp_path, make_worker):
    folder = StudyFolder(tmp_path)
    held = claim(folder, FIRST)
    assert claim(folder, FIRST) is None
    worker = make_worker(jobs=2)
    text = describe_study(worker.runs, tmp_path, [])
    assert f'running: {FIRST} on' in text
    assert f'process {os.getpid()}, since 2' in text
    assert str(worker.work()) == '7 runs done, 0 failed, 1 left; 1 are with others'
    held.drop()
    assert make_worker().work().done == [FIRST]


def test_workers_share_a_plan(tmp_path, study, make_worker, monkeypatch):
    """Two workers, in processes of their own, do each run once."""
    monkeypatch.setenv('BEHAVE', json.dumps(dict.fromkeys([FIRST, SECOND], 0.5)))
    processes = []
    for _ in range(2):
        child = os.fork()
        if not child:
            os._exit(make_worker(jobs=2).work().left)
        processes.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in processes]
    assert min(codes) == 0
    runs = make_worker().runs
    assert [len(begun(tmp_path, run.id)) for run in runs] == [1] * 8


def test_a_killed_worker_is_taken_over(tmp_path, make_worker, monkeypatch):
    """Its run goes on as long as its process lives, and is free afterwards."""
    monkeypatch.setenv('BEHAVE', json.dumps({FIRST: 'wait'}))
    worker = os.fork()
    if not worker:
        make_worker().work()
        os._exit(0)
    wait_for(tmp_path / 'runs' / FIRST / 'log.txt')
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    folder = StudyFolder(tmp_path)
    assert folder.holder(FIRST)['process'] == worker
    assert claim(folder, FIRST) is None
    process = int((tmp_path / 'runs' / FIRST / 'process').read_text())
    os.kill(process, signal.SIGKILL)
    for _ in range(100):
        if folder.holder(FIRST) is None:
            break
        time.sleep(0.05)
    monkeypatch.delenv('BEHAVE')
    assert FIRST in make_worker(jobs=4).work().done
    assert len(begun(tmp_path, FIRST)) == 2


SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize('number', mostly_slow(SIGNALS, SIGNALS[1:]))
def test_a_signal_ends_the_processes_and_gives_the_runs_back(
    tmp_path, make_worker, monkeypatch, number
):
    monkeypatch.setenv('BEHAVE', json.dumps(dict.fromkeys([FIRST, SECOND], 'wait')))
    worker = os.fork()
    if not worker:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with stopping_signals():
                make_worker(jobs=2).work()
        except KeyboardInterrupt:
            os._exit(130)
        os._exit(0)
    for name in (FIRST, SECOND):
        wait_for(tmp_path / 'runs' / name / 'log.txt')
    os.kill(worker, number)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 130
    folder = StudyFolder(tmp_path)
    for name in (FIRST, SECOND):
        assert folder.holder(name) is None
        assert folder.failure(name) is None
    assert not notes(tmp_path)


def test_time_is_up(tmp_path, make_worker, monkeypatch):
    monkeypatch.setenv('BEHAVE', json.dumps({FIRST: 'wait'}))
    worker = make_worker()
    summary = worker.work(limit=time.monotonic() + 1)
    assert (summary.done, summary.left) == ([], 8)
    assert StudyFolder(tmp_path).holder(FIRST) is None


def test_what_another_plan_began_is_set_aside(tmp_path, make_worker, capsys):
    """Its weights are of another config: neither gone on from nor scored."""
    worker = make_worker()
    first, second = worker.runs[:2]
    folder = StudyFolder(tmp_path)
    for run in (replace(first, config='0' * 12), second):
        folder.work_dir(run.id).mkdir(parents=True)
        (folder.work_dir(run.id) / 'epoch_4.pth').write_text('weights')
        folder.write_task(run, tmp_path, ['identity'], False)
    make_worker(chosen=[first, second]).work()
    kept = folder.run(first.id) / 'work.changed'
    assert (kept / 'epoch_4.pth').is_file()
    assert not folder.work_dir(first.id).exists()
    assert f'{first.id}: another plan made its work, kept as {kept}' in (
        capsys.readouterr().out
    )
    assert (folder.work_dir(second.id) / 'epoch_4.pth').is_file()


def test_files_of_the_current_folder_do_not_stand_in_for_modules(tmp_path):
    (tmp_path / 'statistics.py').write_text('raise SystemExit("the wrong one")')
    done = subprocess.run(
        [*ONE_RUN, '--help'], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert 'the wrong one' not in done.stderr


def test_processors_are_shared_with_the_workers_beside(monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: range(12), raising=False)
    assert share_of_processors(2) == 6
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '3')
    assert share_of_processors(2) == 2
    assert share_of_processors(9) == 1


def test_failures_are_told_when_nobody_works_any_more(tmp_path, make_worker):
    """A launcher ends all its processes as soon as one says that runs have failed."""
    held, waited = claim(StudyFolder(tmp_path), FIRST), []
    thread = threading.Thread(
        target=lambda: waited.append(make_worker().wait_for_others())
    )
    thread.start()
    thread.join(1)
    assert not waited
    held.drop()
    thread.join(20)
    assert waited == [None]


def test_what_is_recorded_elsewhere_is_done(tmp_path, study, make_worker):
    from mmseg_ftu.study.collected_tables import collect

    runs, other = make_worker().runs, tmp_path / 'other'
    for run in runs[:6]:
        record(other, run)
    tables = tmp_path / 'tables'
    collect(runs, Records(other / 'records'), tables, tmp_path / 'plan.csv')
    worker = make_worker(records=[tables])
    assert worker.work().done == [run.id for run in runs[6:]]
    assert '8 of 8 runs done' in describe_study(runs, tmp_path, [tables])


@pytest.mark.parametrize(
    ('only', 'count'),
    [([], 8), (['arm=normal'], 4), (['fold=0', 'seed=0,1'], 4), ([f'id={FIRST}'], 1)],
)
def test_a_part_of_the_plan(make_worker, only, count):
    assert len(choose_runs(make_worker().runs, only)) == count


@pytest.mark.parametrize(
    ('only', 'message'),
    [
        ('arm', r'--only arm: write KEY=VALUE\[,VALUE\] with a key from id, model'),
        ('lr=1', '--only lr=1: write KEY=VALUE'),
        ('arm=normal,off', 'the plan has no arm off; it has normal, switch'),
        ('fold=0 fold=1', '--only fold=0 fold=1: no run of the plan fits all of it'),
    ],
)
def test_filters_that_fit_nothing(make_worker, only, message):
    with pytest.raises(ValueError, match=message):
        choose_runs(make_worker().runs, only.split())


@pytest.mark.parametrize(
    ('seconds', 'left', 'workers', 'text'),
    [
        ([], 5, 1, ''),
        ([60.0], 0, 1, ''),
        ([60.0, 120.0], 4, 2, ', 1.5 min a run, about 3 min left'),
        ([150.0], 100, 2, ', 2.5 min a run, about 2 h 5 min left'),
        ([3600.0], 49, 1, ', 60.0 min a run, about 2 d 1 h left'),
    ],
)
def test_how_long_it_will_take(seconds, left, workers, text):
    assert remaining_time(seconds, left, workers) == text
