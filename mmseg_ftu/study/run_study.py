"""Work through the plan of a study, alone or beside other processes and machines.

A run is claimed by a lock, trained in a process of its own, and done when its record is
there. So any number of these workers share a folder, and what a killed one began is
taken over where its last checkpoint is.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mmseg_ftu.io.launched_as import launched_as
from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.code_version import describe_code
from mmseg_ftu.study.plan import (
    PLAN,
    Run,
    choose_runs,
    list_runs,
    read_about,
    read_plan,
    refuse_changed,
)
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.study_design import Study
from mmseg_ftu.study.study_folder import StudyFolder
from mmseg_ftu.study.worker import Summary, Worker


def run_study(
    study: Study,
    out: Path,
    *,
    jobs: int = 1,
    only: Sequence[str] = (),
    keep_checkpoints: bool = False,
    max_minutes: float | None = None,
    retry: bool = False,
    records: Sequence[Path] = (),
    threads: int | None = None,
) -> Summary:
    """Do the runs of a plan that are not done.

    Args:
        study: The study; it must be the one that was planned.
        out: Folder of the study.
        jobs: How many runs go on side by side.
        only: Which runs to do, ``KEY=VALUE[,VALUE]`` with a key from `FILTERS`.
        keep_checkpoints: Keep the weights of finished runs.
        max_minutes: Stop after so many minutes; runs in progress go on next time.
        retry: Do failed runs again.
        records: Folders of collected records that count as done.
        threads: Threads of each run; None shares the processors out.

    Returns:
        What was done here.

    Raises:
        ValueError: If there is no plan, or the study is not the one that was planned.
        KeyboardInterrupt: If it was told to stop (SIGINT, SIGTERM).
    """
    chosen = planned_runs(study, out, only)
    note_other_code(out)
    worker = Worker(
        study,
        StudyFolder(out.resolve()),
        chosen,
        Records(out / 'records', records),
        jobs=jobs,
        keep=keep_checkpoints,
        threads=threads or share_of_processors(jobs),
    )
    if retry:
        worker.forget_failures()
    limit = None if max_minutes is None else time.monotonic() + 60 * max_minutes
    with stopping_signals():
        summary = worker.work(limit)
        if summary.failed and launched_as()[1] > 1:
            worker.wait_for_others()
        return summary


def planned_runs(study: Study, out: Path, only: Sequence[str] = ()) -> list[Run]:
    """Return the runs of a plan that fit all filters of ``only``.

    Raises:
        ValueError: If there is no plan, the study is not the one that was planned, or
            no run fits.
    """
    runs = read_plan(out)
    refuse_changed(runs, list_runs(study, PreparedFolder.open(study.data)), study, out)
    return choose_runs(runs, only)


def share_of_processors(jobs: int) -> int:
    """Return the threads of each run where all workers of the machine have ``jobs``."""
    beside = int(os.environ.get('LOCAL_WORLD_SIZE', 1))  # of torchrun
    return max(1, len(os.sched_getaffinity(0)) // (jobs * beside))


def note_other_code(out: Path) -> None:
    """Say on stderr where the sources differ from those of the plan.

    A record keeps the digest of the sources that made it.
    """
    planned = read_about(out / PLAN).get('planned', [])
    known = {entry.get('sources') for entry in planned}
    if planned and describe_code()['sources'] not in known:
        print(
            f'note: the sources of mmseg_ftu have changed since {out / "plan.csv"} was '
            'written; the records say which sources made them',
            file=sys.stderr,
        )


@contextmanager
def stopping_signals() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that claims are given back."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
