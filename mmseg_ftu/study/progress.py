"""How far a study is: a table of its runs by state, and how long the rest will take."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from prettytable import PrettyTable

from mmseg_ftu.study.plan import Run
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.study_folder import (
    DONE,
    FAILED,
    RUNNING,
    STATES,
    TO_DO,
    StudyFolder,
)


def state_of(folder: StudyFolder, records: Records, run: Run) -> str:
    """Return the state of a run, one of `STATES`."""
    if records.note(run) is not None:
        return DONE
    if folder.holder(run.id) is not None:
        return RUNNING
    return FAILED if folder.failure(run.id) is not None else TO_DO


def describe_study(runs: Sequence[Run], out: Path, elsewhere: Sequence[Path]) -> str:
    """Return what ``mmseg-ftu study status`` prints.

    Args:
        runs: The plan.
        out: Folder of the study.
        elsewhere: Folders of collected records that count.
    """
    folder, records = StudyFolder(out), Records(out / 'records', elsewhere)
    states = {run: state_of(folder, records, run) for run in runs}
    parts = [_table(states).get_string()]
    seconds = [
        note['seconds']
        for run, state in states.items()
        if state == DONE and (note := records.note(run)) is not None
    ]
    running = [run for run, state in states.items() if state == RUNNING]
    left = sum(state in (RUNNING, TO_DO) for state in states.values())
    eta = remaining_time(seconds, left, max(1, len(running)))
    parts.append(f'{len(seconds)} of {len(runs)} runs done{eta}')
    for run in running:
        owner = folder.holder(run.id) or {}
        parts.append(
            f'running: {run.id} on {owner.get("host", "?")}, '
            f'process {owner.get("process", "?")}, since {owner.get("since", "?")}'
        )
    for run, state in states.items():
        if state == FAILED:
            failure = folder.failure(run.id) or {}
            parts.append(f'failed: {run.id}, {failure["reason"]}; {failure["log"]}')
    for name in records.others(runs):
        parts.append(f'does not count: the record of {name} was made by another plan')
    return '\n'.join(parts)


def _table(states: dict[Run, str]) -> PrettyTable:
    table = PrettyTable(['model', 'arm', *STATES])
    table.align = 'r'
    table.align['model'] = table.align['arm'] = 'l'
    counts = Counter((run.model, run.arm, state) for run, state in states.items())
    for model, arm in dict.fromkeys((run.model, run.arm) for run in states):
        table.add_row([model, arm, *(counts[model, arm, state] for state in STATES)])
    return table


def remaining_time(seconds: Sequence[float], left: int, workers: int) -> str:
    """Say how long the rest of a study will take; '' if that is unknown.

    Args:
        seconds: Time of each run that is done.
        left: Number of runs that are not.
        workers: How many go on side by side.
    """
    if not seconds or not left:
        return ''
    mean = fmean(seconds)
    total = mean * left / workers
    return f', {mean / 60:.1f} min a run, about {_duration(total)} left'


def _duration(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(days, 'd'), (hours, 'h'), (minutes, 'min')]
    return ' '.join(f'{number} {unit}' for number, unit in parts if number)
