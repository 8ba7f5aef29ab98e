"""The plan of a study: one row a run, written before the first run begins.

A row is bound to its config, to the data and to the version of the package by their
hashes. A plan that no longer fits its study is refused, so that runs of two kinds are
never counted together.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.tables import read_table, repeated_ids
from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.code_version import describe_code
from mmseg_ftu.study.study_data import data_id
from mmseg_ftu.study.study_design import Study
from mmseg_ftu.version import __version__

PLAN = 'plan.csv'  # and plan.json, a note about it
SHOWN = 5  # changed rows in a message
FILTERS = ('id', 'model', 'arm', 'fold', 'seed')  # keys of --only


@dataclass(frozen=True)
class Run:
    """One row of a plan.

    Attributes:
        id: Name of the run, also that of its files.
        study: Name of the study.
        model: Name of the model.
        arm: Name of the arm.
        fold: The fold that is held out.
        seed: Seed of the run.
        epochs: Length of the run.
        config: Name of the config without data, fold and seed, with the views that are
            averaged (12 digits).
        data: Name of the pixels, patients, folds and preparation (12 digits).
        code: Version of the package.
    """

    id: str
    study: str
    model: str
    arm: str
    fold: int
    seed: int
    epochs: int
    config: str
    data: str
    code: str

    @property
    def identity(self) -> dict[str, Any]:
        """All of it; a record belongs to the run if it says the same."""
        return asdict(self)


COLUMNS = [entry.name for entry in fields(Run)]
NUMBERS = ('fold', 'seed', 'epochs')


def list_runs(study: Study, folder: PreparedFolder) -> list[Run]:
    """List the runs of a study.

    All models and arms of a fold and a seed stand together, and all folds of a seed, so
    that a study which is stopped early is balanced.

    Raises:
        FileNotFoundError: If a config is missing.
        ValueError: If a config cannot be used, or the data lack a fold.
    """
    from mmseg_ftu.study.run_config import check_hooks, config_hash, model_config

    for fold in study.folds:
        folder.in_fold(fold)
    data = data_id(folder)
    configs = {}
    for model in study.models:
        for arm in study.arms_of(model):
            cfg = model_config(study, model, arm)
            check_hooks(cfg, f'{model}, arm {arm}')
            configs[model, arm] = config_hash(cfg, study.views)
    _refuse_equal_arms(configs)
    runs = [
        Run(
            f'{model}_{arm}_f{fold}_s{seed}',
            *(study.name, model, arm, fold, seed, study.epochs[model]),
            *(config, data, __version__),
        )
        for seed in study.seeds
        for fold in study.folds
        for (model, arm), config in configs.items()
    ]
    if repeated := sorted(repeated_ids(run.id for run in runs)):
        raise ValueError(
            f'the names of models and arms give {", ".join(repeated[:SHOWN])} twice: '
            'rename one of them'
        )
    return runs


def _refuse_equal_arms(configs: Mapping[tuple[str, str], str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for (model, arm), config in configs.items():
        other = seen.setdefault((model, config), arm)
        if other != arm:
            raise ValueError(
                f'the arms {other} and {arm} are the same for {model}: their configs '
                'do not differ; see what one of them should change'
            )


def write_plan(
    study: Study, folder: PreparedFolder, out: Path, extend: bool = False
) -> tuple[list[Run], int]:
    """Write the plan of a study, or check that the one which is there still fits.

    Args:
        study: The study.
        folder: Its data.
        out: Folder of the study.
        extend: Add rows that are new, after those which are there.

    Returns:
        The runs, and how many of them are new.

    Raises:
        ValueError: If the plan which is there differs, but for rows that are added with
            ``extend``.
    """
    wanted = list_runs(study, folder)
    there = read_plan(out) if (out / PLAN).is_file() else []
    if there:
        refuse_changed(there, wanted, study, out)
    known = {run.id for run in there}
    new = [run for run in wanted if run.id not in known]
    if there and new and not extend:
        raise ValueError(
            f'{out / PLAN} lacks {len(new)} runs of {study.path} '
            f'({_some(run.id for run in new)}): --extend adds them'
        )
    runs = [*there, *new]
    if new:
        out.mkdir(parents=True, exist_ok=True)
        _write_about(study, out, len(new))
        frame = pd.DataFrame([astuple(run) for run in runs], columns=COLUMNS)
        write_bytes(out / PLAN, frame.to_csv(index=False, lineterminator='\n').encode())
    return runs, len(new)


def refuse_changed(
    there: Sequence[Run], wanted: Sequence[Run], study: Study, out: Path
) -> None:
    """Raise ValueError where rows of a plan differ from those of its study now.

    Args:
        there: The rows of the plan.
        wanted: The rows as the study file, the data and the code make them now.
        study: The study.
        out: Folder of the study.
    """
    now = {run.id: run for run in wanted}
    gone = [run.id for run in there if run.id not in now]
    changed: dict[str, list[str]] = {}
    for run in there:
        new = now.get(run.id, run)
        for column in COLUMNS:
            if getattr(run, column) != getattr(new, column):
                changed.setdefault(column, []).append(run.id)
    faults = [
        f'the {column} of {_some(ids)} is another' for column, ids in changed.items()
    ]
    if gone:
        faults.append(f'{_some(gone)} are no longer part of it')
    if faults:
        raise ValueError(
            f'{study.path} is not the study that was planned in {out / PLAN}: '
            f'{"; ".join(faults)}. Runs of both would be counted together. Undo the '
            'change (of the study file, a config, the data or the version), or plan '
            'the new study into another --out'
        )


def read_plan(out: Path) -> list[Run]:
    """Read the plan of a study.

    Raises:
        ValueError: If there is none, or it is damaged.
    """
    path = out / PLAN
    if not path.is_file():
        raise ValueError(
            f'{out} holds no {PLAN}: write it first with '
            f'`mmseg-ftu study plan STUDY.py --out {out}`'
        )
    return read_rows(path)


def read_rows(path: Path) -> list[Run]:
    """Read the rows of a plan, also of one that was collected.

    Raises:
        ValueError: If the file is damaged.
    """
    frame = read_table(path)
    if missing := [name for name in COLUMNS if name not in frame]:
        raise ValueError(f'{path}: columns are missing: {", ".join(missing)}')
    try:
        frame[list(NUMBERS)] = frame[list(NUMBERS)].astype(int)
    except ValueError as error:
        raise ValueError(f'{path}: {error}; plan again into another --out') from error
    rows = frame[COLUMNS].to_dict('records')
    return [Run(**{str(key): value for key, value in row.items()}) for row in rows]


def choose_runs(runs: Sequence[Run], only: Sequence[str]) -> list[Run]:
    """Return the runs that fit all filters.

    Raises:
        ValueError: If a filter is not of the form ``KEY=VALUE[,VALUE]``, or none fits.
    """
    chosen = list(runs)
    for text in only:
        key, _, values = text.partition('=')
        if key not in FILTERS or not values:
            raise ValueError(
                f'--only {text}: write KEY=VALUE[,VALUE] with a key from '
                + ', '.join(FILTERS)
            )
        wanted = set(values.split(','))
        known = {str(getattr(run, key)) for run in runs}
        if wanted - known:
            raise ValueError(
                f'--only {text}: the plan has no {key} {", ".join(wanted - known)}; it '
                f'has {", ".join(sorted(known)[:10])}'
            )
        chosen = [run for run in chosen if str(getattr(run, key)) in wanted]
    if not chosen:
        raise ValueError(
            f'--only {" ".join(only)}: no run of the plan fits all of it; a key has '
            'several values as KEY=VALUE,VALUE'
        )
    return chosen


def find_plan(
    study: Study, out: Path, records: Sequence[Path]
) -> tuple[Path, list[Run]]:
    """Read the plan in the folder of a study, or one that was collected.

    Returns:
        The file of the plan, and its runs.

    Raises:
        ValueError: If there is none, or it is damaged.
    """
    collected = [folder / f'{study.name}_{PLAN}' for folder in records]
    for path in collected if not (out / PLAN).is_file() else ():
        if path.is_file():
            return path, read_rows(path)
    return out / PLAN, read_plan(out)


def read_about(plan: Path) -> dict[str, Any]:
    """Return what was noted when a plan was written; {} if nothing was.

    Args:
        plan: The file of the plan; the note lies beside it.
    """
    try:
        about = json.loads(plan.with_suffix('.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _write_about(study: Study, out: Path, new: int) -> None:
    """Note when and with which code rows were planned, and the study file itself."""
    about = read_about(out / PLAN)
    entry = dict(
        date=datetime.now(UTC).strftime('%Y-%m-%d %H:%M UTC'),
        runs=new,
        **describe_code(),
    )
    about['planned'] = [*about.get('planned', []), entry]
    about['study'] = study.path.read_text(encoding='utf-8')
    path = (out / PLAN).with_suffix('.json')
    write_bytes(path, json.dumps(about, indent=2).encode())


def _some(ids: Iterable[str]) -> str:
    ids = list(ids)
    more = len(ids) - SHOWN
    return ', '.join(ids[:SHOWN]) + (f' and {more} more' if more > 0 else '')
