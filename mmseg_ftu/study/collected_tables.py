"""A study's records merged into few tables, small enough to be committed.

- ``STUDY_MODEL.csv``: the rows of all runs of a model;
- ``STUDY_runs.csv``: a row for each run;
- ``STUDY_curves.csv``: learning curves and gradient norms, thinned out;
- ``STUDY_plan.csv``, ``STUDY_plan.json``: the plan.

They count like records, so that a study goes on elsewhere and is reported from them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.locks import locked_folder
from mmseg_ftu.io.own_files import is_own_csv, is_own_json, require_own
from mmseg_ftu.study.plan import COLUMNS as RUN_COLUMNS
from mmseg_ftu.study.plan import PLAN, Run, read_about, read_rows
from mmseg_ftu.study.run_records import (
    CURVE_COLUMNS,
    NOTES,
    Records,
    read_scores,
    write_csv,
)

MOST_POINTS = 12  # of a curve in the collected table
RATIO = '_ratio/'  # in names of series that follow from others; not collected


def collect(
    runs: Sequence[Run], records: Records, folder: Path, plan: Path
) -> list[Path]:
    """Merge the records of a plan into few tables.

    Args:
        runs: The plan; its order is that of the rows.
        records: The records that count, those in ``folder`` among them.
        folder: Where to write; files of `collect` are replaced.
        plan: The file of the plan, which is merged with the collected one; the note
            beside it keeps when collected runs were planned.

    Returns:
        The files that were written.

    Raises:
        ValueError: If a file of that name is there that `collect` did not write, or
            holds runs of another plan, which would be lost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked_folder(folder):
        return _collect(runs, records, folder, plan)


def _collect(
    runs: Sequence[Run], records: Records, folder: Path, plan: Path
) -> list[Path]:
    study, collected = runs[0].study, folder / f'{runs[0].study}_{PLAN}'
    about_path = collected.with_suffix('.json')
    require_own(collected, is_own_csv(*RUN_COLUMNS))
    require_own(about_path, is_own_json(planned=None))
    known = {run.id for run in runs}
    before = read_rows(collected) if collected.is_file() else []
    runs = [*runs, *(run for run in before if run.id not in known)]
    notes = {run: note for run in runs if (note := records.note(run)) is not None}
    if not notes:
        return []
    _refuse_loss(folder / f'{study}_runs.csv', notes)
    tables = {
        f'{study}_{model}.csv': pd.concat(
            [records.scores(run) for run in notes if run.model == model]
        )
        for model in dict.fromkeys(run.model for run in notes)
    }
    for name in tables:
        _refuse_others(folder / name, study)
    rows = (
        {**run.identity, **{key: note.get(key, '') for key in NOTES}}
        for run, note in notes.items()
    )
    tables[f'{study}_runs.csv'] = pd.DataFrame(rows)
    curves = [
        (run.id, name, pack(points))
        for run, note in notes.items()
        for name, points in note.get('curves', {}).items()
        if RATIO not in name
    ]
    tables[f'{study}_curves.csv'] = pd.DataFrame(curves, columns=CURVE_COLUMNS)
    for name, table in tables.items():
        require_own(folder / name, is_own_csv(*list(table.columns)[:3]))
    for name, table in tables.items():
        write_csv(folder / name, table)
    about = read_about(plan)
    about['planned'] = records.dates_of_plans(study, about.get('planned', []))
    write_csv(collected, pd.DataFrame([astuple(r) for r in runs], columns=RUN_COLUMNS))
    write_bytes(about_path, json.dumps(about, indent=2).encode())
    return [folder / name for name in tables]


def _refuse_loss(path: Path, notes: Mapping[Run, Any]) -> None:
    if not path.is_file():
        return
    rows = read_scores(path, RUN_COLUMNS).itertuples(index=False)
    lost = [run.id for run in (Run(*row) for row in rows) if run not in notes]
    if lost:
        raise ValueError(
            f'{path} holds {len(lost)} runs that this plan does not count, '
            f'{", ".join(lost[:5])} among them: their config, data or version is '
            'another. Collect into another folder, or move the file away'
        )


def _refuse_others(path: Path, study: str) -> None:
    """Raise where a table holds another study, whose name begins with this one."""
    frame = read_scores(path) if path.is_file() else pd.DataFrame(dict(study=[]))
    if others := sorted({*frame.get('study', ())} - {study}):
        raise ValueError(
            f'{path} holds runs of the study {others[0]}: collect into another folder'
        )


def pack(points: Sequence[Sequence[float]]) -> str:
    """Write a curve as text, ``x:y x:y ...``, with four digits and few points."""
    step = max(1, -(-len(points) // MOST_POINTS))
    kept = list(points)[::-1][::step][::-1]  # the last point stays
    return ' '.join(f'{x:g}:{y:.4g}' for x, y in kept)
