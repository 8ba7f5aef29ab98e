"""A worker of a study: claims runs, starts their processes and waits for them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mmseg_ftu.io.launched_as import launched_as
from mmseg_ftu.study.code_version import PACKAGE
from mmseg_ftu.study.plan import Run
from mmseg_ftu.study.progress import remaining_time
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.study_file import Study
from mmseg_ftu.study.study_folder import Claim, StudyFolder, claim

PAUSE = 0.2  # s between two looks at the processes
GRACE = 20.0  # s that a process has to end
TAIL = 5  # lines of a log that tell why a run failed
#: What launchers tell their processes; a run is not distributed over them.
OF_LAUNCHERS = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
#: glibc keeps freed memory instead of handing it back and faulting it in again:
#: docs/performance.md, "Memory that glibc keeps". Results do not depend on it.
KEEP_MEMORY = dict(
    MALLOC_MMAP_THRESHOLD_='1073741824', MALLOC_TRIM_THRESHOLD_='1073741824'
)


@dataclass
class Summary:
    """What a worker did.

    Attributes:
        done: Ids of the runs that it finished.
        failed: Ids of the runs that failed here.
        left: Runs of its part of the plan that are not done: to do, failed before, or
            with others.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: int = 0

    def __str__(self) -> str:
        done, failed = len(self.done), len(self.failed)
        return f'{done} runs done, {failed} failed, {self.left} left'


@dataclass
class Child:
    """A run in its process.

    Attributes:
        run: The run.
        claim: Its claim, inherited by the process.
        process: The process, leader of a group of its own.
        slot: Number of the place that it takes, 0-based.
    """

    run: Run
    claim: Claim
    process: subprocess.Popen[bytes]
    slot: int


class Worker:
    """Claims runs, starts their processes and waits for them.

    Args:
        study: The study.
        folder: Its folder.
        runs: The runs to do, in order.
        records: The records that count.
        jobs: How many runs go on side by side.
        keep: Keep the weights of finished runs.
        threads: Threads of each run.
    """

    def __init__(
        self,
        study: Study,
        folder: StudyFolder,
        runs: Sequence[Run],
        records: Records,
        *,
        jobs: int,
        keep: bool,
        threads: int,
    ) -> None:
        self.study, self.folder, self.runs = study, folder, runs
        self.records, self.jobs, self.keep = records, jobs, keep
        self.threads = threads
        self.summary = Summary()
        self.children: list[Child] = []
        self._done: set[str] = set()

    def forget_failures(self) -> None:
        """Take failed runs for runs that are to do."""
        for run in self.runs:
            self.folder.forget_failure(run.id)

    def work(self, limit: float | None = None) -> Summary:
        """Do what is to do, until all is done or the time is over.

        Args:
            limit: When to stop, by ``time.monotonic``; None: never.
        """
        self.tell()
        try:
            while self._step() and (limit is None or time.monotonic() < limit):
                time.sleep(PAUSE)
        finally:
            self.stop()
        self.summary.left = sum(not self.is_done(run) for run in self.runs)
        return self.summary

    def _step(self) -> bool:
        """Look after the processes and start new ones; tell whether work remains."""
        for child in [c for c in self.children if c.process.poll() is not None]:
            self._end(child)
        while len(self.children) < self.jobs:
            found = self._claim_next()
            if found is None:
                break
            self._start(*found)
        if self.children:
            return True
        return self._wait_for_claimable()

    def _wait_for_claimable(self) -> bool:
        """Tell whether a run is to do that nobody works on.

        A look at the lock of a run, as ``status`` does it, may hide it for a moment, so
        this looks twice.
        """
        for _ in range(2):
            if any(self._is_to_do(r) and not self._is_held(r) for r in self.runs):
                return True
            time.sleep(PAUSE)
        return False

    def _is_held(self, run: Run) -> bool:
        return self.folder.holder(run.id) is not None

    def is_done(self, run: Run) -> bool:
        """Tell whether a run has a record."""
        if run.id not in self._done and self.records.note(run) is not None:
            self._done.add(run.id)
        return run.id in self._done

    def _is_to_do(self, run: Run) -> bool:
        return not self.is_done(run) and self.folder.failure(run.id) is None

    def _claim_next(self) -> tuple[Run, Claim] | None:
        for run in self.runs:
            if not self._is_to_do(run):
                continue
            held = claim(self.folder, run.id)
            if held is None:
                continue
            if self._is_to_do(run):  # nobody has finished it in between
                return run, held
            held.drop()
        return None

    def _start(self, run: Run, held: Claim) -> None:
        """Write the config of a run and start its process."""
        from mmseg_ftu.study.run_config import run_config

        try:
            place = self.folder.run(run.id)
            place.mkdir(parents=True, exist_ok=True)
            data = self.study.data.resolve()
            cfg = run_config(self.study, run.model, run.arm, run.fold, run.seed, data)
            cfg.dump(self.folder.config(run.id))
            self.folder.write_task(run, data, self.study.views, self.keep)
            slot = min({*range(self.jobs)} - {child.slot for child in self.children})
            with self.folder.log(run.id).open('ab') as log:
                process = subprocess.Popen(
                    [sys.executable, '-m', 'mmseg_ftu.study.one_run']
                    + [str(self.folder.path), run.id],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._environment(slot),
                    pass_fds=[held.handle],
                    start_new_session=True,  # Ctrl-C reaches this process alone
                )
        except BaseException:
            held.drop()
            raise
        self.children.append(Child(run, held, process, slot))

    def _environment(self, slot: int) -> Mapping[str, str]:
        """Return the environment of a run: its threads, its GPU, no launcher."""
        kept = {k: v for k, v in os.environ.items() if k not in OF_LAUNCHERS}
        kept = {k: v for k, v in kept.items() if not k.startswith('SLURM_')}
        places = [str(PACKAGE.parent), *kept.get('PYTHONPATH', '').split(os.pathsep)]
        own = dict(
            OMP_NUM_THREADS=str(self.threads),
            PYTHONPATH=os.pathsep.join(filter(None, places)),
        )
        gpus = visible_gpus()
        if len(gpus) > 1:
            place = launched_as()[2] * self.jobs + slot
            own['CUDA_VISIBLE_DEVICES'] = gpus[place % len(gpus)]
        return {**KEEP_MEMORY, **kept, **own}

    def _end(self, child: Child) -> None:
        """Note how a run ended."""
        self.children.remove(child)
        run = child.run
        if self.is_done(run):
            self.summary.done.append(run.id)
        else:
            code = child.process.returncode
            log = self.folder.log(run.id)
            reason = f'exit code {code}: {last_lines(log)}'
            self.folder.note_failure(run.id, reason)
            self.summary.failed.append(run.id)
            print(f'{run.id} failed, see {log}', file=sys.stderr, flush=True)
        child.claim.drop()
        self.tell(run)

    def stop(self) -> None:
        """End the processes and give their runs back."""
        for child in self.children:
            _signal_group(child.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for child in self.children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(child.process, signal.SIGKILL)
                child.process.wait()
            child.claim.drop()
        self.children = []

    def tell(self, run: Run | None = None) -> None:
        """Print how far the study is."""
        done = [note for r in self.runs if (note := self.records.note(r)) is not None]
        left = len(self.runs) - len(done)
        dice = '' if run is None or not self.is_done(run) else self._dice_of(run)
        eta = remaining_time([n['seconds'] for n in done], left, self._workers())
        print(f'{dice}{len(done)} of {len(self.runs)} runs done{eta}', flush=True)

    def _dice_of(self, run: Run) -> str:
        note = self.records.note(run) or {}
        return f'{run.id}: Dice {note["dice"]:.4f}, with TTA {note["dice_tta"]:.4f}; '

    def _workers(self) -> int:
        """Return how many runs go on now, here and elsewhere."""
        held = sum(self._is_held(r) for r in self.runs if not self.is_done(r))
        return max(held, self.jobs)


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that CUDA shows to this process."""
    given = os.environ.get('CUDA_VISIBLE_DEVICES')
    if given is not None:
        return [name for name in given.split(',') if name.strip()]
    import torch

    return [str(i) for i in range(torch.cuda.device_count())]


def last_lines(log: Path) -> str:
    """Return the last lines of a log, as one."""
    try:
        lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
    except OSError:
        return ''
    return ' | '.join(line.strip() for line in lines[-TAIL:] if line.strip())


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a process and those which it has started, data loaders among them."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
