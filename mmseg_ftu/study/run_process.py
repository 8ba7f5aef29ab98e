"""The process of a run: how it is started, what it sees of the machine, how it ends."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmseg_ftu.study.code_version import PACKAGE
from mmseg_ftu.study.plan import Run
from mmseg_ftu.study.study_folder import Claim

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


def start(
    command: Sequence[str], log: Path, held: Claim, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process that holds a claim as long as it lives.

    Args:
        command: What to run.
        log: File to which all that it prints is added.
        held: The claim, which it inherits.
        env: Its environment.
    """
    with log.open('ab') as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=[held.handle],
            start_new_session=True,  # Ctrl-C reaches the worker alone
        )


def environment(threads: int, place: int) -> dict[str, str]:
    """Return the environment of a run: its threads, its GPU, no launcher.

    Args:
        threads: Number of threads that it computes with.
        place: Its number among the runs of this machine, 0-based; GPUs are taken by
            turns.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in OF_LAUNCHERS and not key.startswith('SLURM_')
    }
    places = [str(PACKAGE.parent), *kept.get('PYTHONPATH', '').split(os.pathsep)]
    own = dict(
        OMP_NUM_THREADS=str(threads),
        PYTHONPATH=os.pathsep.join(filter(None, places)),
    )
    gpus = visible_gpus()
    if len(gpus) > 1:
        own['CUDA_VISIBLE_DEVICES'] = gpus[place % len(gpus)]
    return {**KEEP_MEMORY, **kept, **own}


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes and those which they have started, by force after a while."""
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()


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
