"""What ``mmseg-ftu study`` does: one function an action."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmseg_ftu.io.own_files import refuse_nesting
from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.collected_tables import collect
from mmseg_ftu.study.plan import PLAN, find_plan, read_plan, write_plan
from mmseg_ftu.study.progress import describe_study
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.run_study import planned_runs, run_study
from mmseg_ftu.study.study_design import Study
from mmseg_ftu.study.study_file import read_study
from mmseg_ftu.study.submit import submit_workers


def plan_study(
    study: Path, out: Path, records: Sequence[Path], extend: bool = False
) -> int:
    """Write the plan and say what it holds."""
    there = read_study(study)
    refuse_nesting(out, [there.data])
    runs, new = write_plan(there, PreparedFolder.open(there.data), out, extend)
    arms = {arm for model in there.models for arm in there.arms_of(model)}
    print(
        f'{out / "plan.csv"}: {len(runs)} runs, {new} of them new '
        f'({len(there.models)} models, {len(arms)} arms, '
        f'{len(there.folds)} folds, {len(there.seeds)} seeds)'
    )
    return 0


def run_plan(
    study: Path,
    out: Path,
    executor: str = 'local',
    slurm: Sequence[str] = (),
    jobs: int = 1,
    **options: Any,
) -> int:
    """Do the runs of the plan, here or through SLURM.

    Raises:
        ValueError: If a number is out of range, or an option does not fit another.
    """
    for name, value in dict(options, jobs=jobs).items():
        numeric = name in ('jobs', 'threads', 'max_minutes')
        if numeric and value is not None and not value > 0:
            option = name.replace('_', '-')
            raise ValueError(f'--{option} {value}: give more than 0')
    there = read_study(study)
    require_records(there, options.get('records', ()))
    if executor == 'slurm':
        planned_runs(there, out, options.get('only', ()))  # before it waits in a queue
        parameters = dict(map(_parameter, slurm))
        tasks = submit_workers(study, out, jobs, options, parameters)
        print(f'submitted {", ".join(task.job_id for task in tasks)}')
        return 0
    if slurm:
        raise ValueError('--slurm is for --executor slurm')
    summary = run_study(there, out, jobs=jobs, **options)
    print(summary)
    return 1 if summary.failed else 0


def status_study(study: Path, out: Path, records: Sequence[Path]) -> int:
    """Print how far the study is."""
    there = read_study(study)
    require_records(there, records)
    _, runs = find_plan(there, out, records)
    print(describe_study(runs, out, records))
    return 0


def collect_study(study: Path, out: Path, records: Sequence[Path], into: Path) -> int:
    """Merge the records into few tables."""
    require_records(read_study(study), records)
    runs = read_plan(out)
    counted = Records(out / 'records', [into, *records])
    for path in collect(runs, counted, into, out / PLAN):
        print(f'wrote {path} ({path.stat().st_size / 1e3:.0f} kB)')
    missing = sum(counted.note(run) is None for run in runs)
    print(f'{len(runs) - missing} of {len(runs)} runs collected')
    return 0


def report_study(
    study: Path,
    out: Path,
    records: Sequence[Path],
    figures: Path | None = None,
    partial: bool = False,
    only: Sequence[str] = (),
) -> int:
    """Write the report."""
    from mmseg_ftu.study.study_report import write_study_report

    there = read_study(study)
    require_records(there, records)
    for path in write_study_report(there, out, records, figures, partial, only):
        print(f'wrote {path}')
    return 0


def require_records(study: Study, records: Sequence[Path]) -> None:
    """Raise where a folder of collected records is missing; say where it has none.

    Raises:
        ValueError: If there is no such folder.
    """
    for folder in records:
        if not folder.is_dir():
            raise ValueError(f'--records {folder}: there is no such folder')
        if not (folder / f'{study.name}_runs.csv').is_file():
            print(f'note: {folder} holds no runs of {study.name}', file=sys.stderr)


def _parameter(text: str) -> tuple[str, Any]:
    """Read ``KEY=VALUE``; whole numbers become numbers.

    Raises:
        ValueError: If it is of another form.
    """
    key, separator, value = text.partition('=')
    if not separator or not key:
        raise ValueError(f'--slurm {text}: write KEY=VALUE')
    return key, int(value) if value.isdigit() else value


ACTIONS: dict[str, Callable[..., int]] = dict(
    plan=plan_study,
    run=run_plan,
    status=status_study,
    collect=collect_study,
    report=report_study,
)
