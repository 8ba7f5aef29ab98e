"""A worker of a study: claims runs, starts their processes and waits for them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmseg_ftu.io.launched_as import launched_as
from mmseg_ftu.study.plan import Run
from mmseg_ftu.study.progress import remaining_time
from mmseg_ftu.study.run_process import Child, end, environment, last_lines, start
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.study_design import Study
from mmseg_ftu.study.study_folder import Claim, StudyFolder, claim

PAUSE = 0.2  # s between two looks at the processes
# -P: what lies in the current folder must not stand in for modules
ONE_RUN = (sys.executable, '-P', '-m', 'mmseg_ftu.study.one_run')


@dataclass
class Summary:
    """What a worker did.

    Attributes:
        done: Ids of the runs that it finished.
        failed: Ids of the runs that failed here.
        failed_before: Ids of runs that had failed before and were not done again.
        elsewhere: Ids of runs that others work on.
        left: Runs of its part of the plan that are not done, all of these among them.
    """

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    failed_before: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    left: int = 0

    def __str__(self) -> str:
        done, failed = len(self.done), len(self.failed)
        parts = [f'{done} runs done, {failed} failed, {self.left} left']
        if self.failed_before:
            parts.append(
                f'{len(self.failed_before)} had failed before (--retry does them again)'
            )
        if self.elsewhere:
            parts.append(f'{len(self.elsewhere)} are with others')
        return '; '.join(parts)


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
        program: Command that does a run, given the folder of the study and its id.
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
        program: Sequence[str] = ONE_RUN,
    ) -> None:
        self.study, self.folder, self.runs = study, folder, runs
        self.records, self.jobs, self.keep = records, jobs, keep
        self.threads, self.program = threads, program
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
        left = [run for run in self.runs if not self.is_done(run)]
        summary = self.summary
        summary.left = len(left)
        summary.elsewhere = [run.id for run in left if self._is_held(run)]
        other = {*summary.failed, *summary.elsewhere}
        summary.failed_before = [
            run.id for run in left if run.id not in other and self._has_failed(run)
        ]
        return summary

    def wait_for_others(self) -> None:
        """Wait until nobody works on a run of this part of the plan.

        A launcher ends all its processes when one of them says that runs have failed.
        """
        while any(not self.is_done(r) and self._is_held(r) for r in self.runs):
            time.sleep(PAUSE)

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
        return not self.is_done(run) and not self._has_failed(run)

    def _has_failed(self, run: Run) -> bool:
        return self.folder.failure(run.id) is not None

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
            self.folder.run(run.id).mkdir(parents=True, exist_ok=True)
            data = self.study.data.resolve()
            cfg = run_config(self.study, run.model, run.arm, run.fold, run.seed, data)
            if other := self.folder.set_aside_other(run):
                print(f'{run.id}: another plan made its work, kept as {other}')
            cfg.dump(self.folder.config(run.id))
            self.folder.write_task(run, data, self.study.views, self.keep)
            slot = min({*range(self.jobs)} - {child.slot for child in self.children})
            place = launched_as()[2] * self.jobs + slot
            command = [*self.program, str(self.folder.path), run.id]
            log = self.folder.log(run.id)
            process = start(command, log, held, environment(self.threads, place))
        except BaseException:
            held.drop()
            raise
        self.children.append(Child(run, held, process, slot))

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
        end([child.process for child in self.children])
        for child in self.children:
            child.claim.drop()
        self.children = []

    def tell(self, run: Run | None = None) -> None:
        """Print how far the study is."""
        done = [note for r in self.runs if (note := self.records.note(r)) is not None]
        ended = [r for r in self.runs if self.is_done(r) or self._has_failed(r)]
        left = len(self.runs) - len(ended)
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
