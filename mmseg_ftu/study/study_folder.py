"""The folder of a study: where things lie, what is done, by whom, and what failed.

- ``plan.csv``, ``plan.json``: the plan.
- ``records/ID.csv``, ``records/ID.json``: the scores of a run that is done.
- ``runs/ID/``: its config, its task, its log and, until it is done, its checkpoints.
- ``runs/ID/failed.json``: why it failed.
- ``claims/ID``: locked by whoever works on it, on this machine or on another one that
  shares the folder. The lock ends with its processes, however they end.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.locks import is_locked, take_lock
from mmseg_ftu.io.own_files import set_aside
from mmseg_ftu.study.plan import Run

DONE, RUNNING, FAILED, TO_DO = 'done', 'running', 'failed', 'to do'
STATES = (DONE, RUNNING, FAILED, TO_DO)


@dataclass(frozen=True)
class StudyFolder:
    """Places in the folder of a study.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def records(self) -> Path:
        """The folder of the records."""
        return self.path / 'records'

    def run(self, name: str) -> Path:
        """Return the folder of a run."""
        return self.path / 'runs' / name

    def config(self, name: str) -> Path:
        """Return the config of a run."""
        return self.run(name) / 'config.py'

    def work_dir(self, name: str) -> Path:
        """Return the work dir of a run."""
        return self.run(name) / 'work'

    def log(self, name: str) -> Path:
        """Return the log of a run: all that its processes print."""
        return self.run(name) / 'log.txt'

    def claim_path(self, name: str) -> Path:
        """Return the file that is locked while somebody works on a run."""
        return self.path / 'claims' / name

    def write_task(
        self, run: Run, data: Path, views: Sequence[str], keep: bool
    ) -> None:
        """Write what the process of a run has to know beside its config.

        Args:
            run: The run.
            data: The prepared folder.
            views: Views that ``dice_tta`` averages over.
            keep: Keep the checkpoints.
        """
        task = dict(run=run.identity, data=str(data), views=list(views), keep=keep)
        write_bytes(self.run(run.id) / 'run.json', json.dumps(task).encode())

    def read_task(self, name: str) -> dict[str, Any]:
        """Read what `write_task` wrote."""
        return dict(json.loads((self.run(name) / 'run.json').read_text('utf-8')))

    def set_aside_other(self, run: Run) -> Path | None:
        """Rename the work dir of a run if another plan made it.

        Its checkpoints are of another config, other data or another version, so the run
        must neither go on from them nor be scored by them.

        Returns:
            Its new name; None if there was none of another plan.
        """
        work_dir = self.work_dir(run.id)
        if not work_dir.is_dir():
            return None
        try:
            if self.read_task(run.id)['run'] == run.identity:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing says whose they are
        return work_dir.with_name(set_aside(work_dir.parent, work_dir.name))

    def failure(self, name: str) -> dict[str, Any] | None:
        """Return why a run failed; None if it did not."""
        try:
            text = (self.run(name) / 'failed.json').read_text(encoding='utf-8')
            return dict(json.loads(text))
        except (OSError, ValueError, TypeError):
            return None

    def note_failure(self, name: str, reason: str) -> None:
        """Note that a run failed."""
        note = dict(reason=reason, log=str(self.log(name)), when=now())
        write_bytes(self.run(name) / 'failed.json', json.dumps(note).encode())

    def forget_failure(self, name: str) -> None:
        """Take a failed run for one that is to do."""
        (self.run(name) / 'failed.json').unlink(missing_ok=True)

    def holder(self, name: str) -> Mapping[str, Any] | None:
        """Return who works on a run: host, process and since when; None if nobody."""
        path = self.claim_path(name)
        if not is_locked(path):
            return None
        try:
            return dict(json.loads(path.read_text(encoding='utf-8')))
        except (OSError, ValueError, TypeError):
            return {}


class Claim:
    """A run that this process and those which it starts work on.

    The processes inherit ``handle``, so the run stays claimed until the last of them
    has ended, even if this one is killed.

    Attributes:
        name: Id of the run.
        handle: Descriptor of the locked file.
    """

    def __init__(self, folder: StudyFolder, name: str, handle: int) -> None:
        self.name, self.handle = name, handle
        self._path = folder.claim_path(name)
        owner = dict(host=socket.gethostname(), process=os.getpid(), since=now())
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(owner).encode(), 0)

    def drop(self) -> None:
        """Give the run back."""
        self._path.unlink(missing_ok=True)
        os.close(self.handle)


def claim(folder: StudyFolder, name: str) -> Claim | None:
    """Claim a run; None if somebody else works on it.

    Raises:
        OSError: If the disk supports no locks.
    """
    path = folder.claim_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = take_lock(path)
    return None if handle is None else Claim(folder, name, handle)


def now() -> str:
    """Return the time, UTC."""
    return datetime.now(UTC).strftime('%Y-%m-%d %H:%M:%S UTC')
