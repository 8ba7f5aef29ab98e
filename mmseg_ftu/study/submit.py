"""Hand workers of a study to SLURM, through submitit.

Each is one task of an array that works through the plan like ``mmseg-ftu study run``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmseg_ftu.study.run_study import run_study
from mmseg_ftu.study.study_file import read_study

TIMEOUT = 60  # SLURM's limit, minutes, unless it is given
MOST_TIMES = 1000  # that a worker is queued again after the limit; submitit's is 3


class StudyWorker:
    """A worker that submitit can send elsewhere, and send again after a time limit.

    Args:
        study: Path of the study file.
        out: Folder of the study, seen by all machines.
        options: Further arguments of `run_study`.
    """

    def __init__(self, study: Path, out: Path, options: Mapping[str, Any]) -> None:
        self.study, self.out = study.resolve(), out.resolve()
        self.options = dict(options)

    def __call__(self) -> str:
        """Work through the plan."""
        return str(run_study(read_study(self.study), self.out, **self.options))

    def checkpoint(self) -> Any:
        """Go on in a new task where SLURM stops this one."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit_workers(
    study: Path,
    out: Path,
    workers: int,
    options: Mapping[str, Any],
    parameters: Mapping[str, Any],
    cluster: str = 'slurm',
) -> list[Any]:
    """Submit an array of workers.

    Args:
        study: Path of the study file.
        out: Folder of the study, seen by all machines.
        workers: Number of tasks.
        options: Further arguments of `run_study` in each of them.
        parameters: What submitit is told, such as ``timeout_min`` and
            ``slurm_partition``.
        cluster: ``'slurm'``, or ``'local'`` for processes of this machine.

    Returns:
        submitit's jobs, one each.

    Raises:
        ImportError: If submitit is not installed.
        ValueError: If it does not know a parameter, or there is no SLURM.
    """
    try:
        from submitit import AutoExecutor
    except ImportError as error:
        raise ImportError(
            "--executor slurm needs submitit: pip install 'mmseg_ftu[study]'"
        ) from error
    try:
        executor = AutoExecutor(
            out / 'slurm', cluster, slurm_max_num_timeout=MOST_TIMES
        )
        executor.update_parameters(**{'timeout_min': TIMEOUT, **parameters})
    except (RuntimeError, NameError, TypeError, ValueError) as error:
        given = ' '.join(f'{key}={value}' for key, value in parameters.items())
        raise ValueError(f'--executor {cluster} --slurm {given}: {error}') from error
    worker = StudyWorker(study, out, options)
    with executor.batch():
        return [executor.submit(worker) for _ in range(workers)]
