"""The records of finished runs: written one by one, collected into few tables.

A record is a table with a row for each held-out image, ``ID.csv``, and a note about the
run, ``ID.json``, which is written last. ``collect`` merges the records of a study into
tables that are small enough to be committed:

- ``STUDY_MODEL.csv``: the rows of all runs of a model;
- ``STUDY_runs.csv``: a row for each run;
- ``STUDY_curves.csv``: learning curves and gradient norms, thinned out;
- ``STUDY_plan.csv``, ``STUDY_plan.json``: the plan.

They count like records, so that a study goes on elsewhere and is reported from them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import is_own_csv, require_own
from mmseg_ftu.io.tables import read_table
from mmseg_ftu.study.plan import COLUMNS as RUN_COLUMNS
from mmseg_ftu.study.plan import PLAN, Run, read_about

KEY = ['study', 'model', 'arm', 'fold', 'seed', 'epochs']
COLUMNS = [*KEY, 'image', 'patient', 'dice', 'dice_tta']
SCORES = ['dice', 'dice_tta']
NOTES = ['images', *SCORES, 'seconds', 'device', 'sources', 'commit', 'when']
CURVE_COLUMNS = ['run', 'series', 'points']
MOST_POINTS = 12  # of a curve in the collected table
RATIO = '_ratio/'  # in names of series that follow from others; not collected
Points = list[tuple[float, float]]


def write_record(
    folder: Path, run: Run, images: pd.DataFrame, note: Mapping[str, Any]
) -> None:
    """Write the record of a run: its table, then its note.

    Args:
        folder: Folder of the records.
        run: The run.
        images: Columns ``image``, ``patient``, ``dice`` and ``dice_tta``.
        note: What else is known of the run, fit for JSON.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys = {key: getattr(run, key) for key in KEY}
    frame = images.assign(**keys)[COLUMNS].round(dict.fromkeys(SCORES, 5))
    _write_csv(folder / f'{run.id}.csv', frame)
    means = {name: round(float(images[name].mean()), 5) for name in SCORES}
    content = {**note, 'run': run.identity, 'images': len(images), **means}
    write_bytes(folder / f'{run.id}.json', json.dumps(content).encode())


class Records:
    """The records that count for a plan.

    Args:
        folder: Folder of records, one pair of files a run.
        collected: Folders with tables of `collect`.

    Raises:
        ValueError: If a collected table is damaged.
    """

    def __init__(self, folder: Path, collected: Iterable[Path] = ()) -> None:
        self._folder = folder
        self._collected = list(collected)
        self._tables: dict[tuple[Path, str], pd.DataFrame] = {}

    def note(self, run: Run) -> dict[str, Any] | None:
        """Return what is known of a run that is done; None if it is not.

        A record of another config, other data or another version does not count.
        """
        note = read_note(self._folder / f'{run.id}.json')
        if note.get('run') == run.identity and self._own(run).is_file():
            return note
        for folder in self._collected:
            found = self._collected_note(folder, run)
            if found is not None:
                return found
        return None

    def scores(self, run: Run) -> pd.DataFrame:
        """Return the table of a run that is done, columns as in `COLUMNS`.

        Raises:
            ValueError: If it is damaged or was made by another plan.
        """
        note = read_note(self._folder / f'{run.id}.json')
        if note.get('run') == run.identity:
            return read_scores(self._own(run))
        for folder in self._collected:
            if self._collected_note(folder, run) is not None:
                table = self._table(folder, f'{run.study}_{run.model}.csv')
                mine = (table[KEY] == [getattr(run, key) for key in KEY]).all(axis=1)
                return table[mine]
        raise ValueError(f'{self._folder}: there is no record of {run.id}')

    def others(self, runs: Iterable[Run]) -> list[str]:
        """Return the ids of runs whose record was made by another plan."""
        return [
            run.id
            for run in runs
            if self.note(run) is None
            and read_note(self._folder / f'{run.id}.json').get('run') is not None
        ]

    def dates_of_plans(self, study: str, now: Iterable[dict[str, Any]]) -> list[Any]:
        """Return when runs were planned: what collected tables say, then ``now``.

        A study that goes on elsewhere is planned again there, and its first date must
        not be lost.
        """
        found: list[Any] = []
        for folder in self._collected:
            about = read_about(folder / f'{study}_{PLAN}')
            found += [e for e in about.get('planned', []) if e not in found]
        return found + [entry for entry in now if entry not in found]

    def _own(self, run: Run) -> Path:
        return self._folder / f'{run.id}.csv'

    def _collected_note(self, folder: Path, run: Run) -> dict[str, Any] | None:
        table = self._table(folder, f'{run.study}_runs.csv')
        rows = table[table['id'] == run.id].to_dict('records') if len(table) else []
        for row in rows:
            if {key: row[key] for key in RUN_COLUMNS} == run.identity:
                known = {str(key): row[key] for key in NOTES}
                return {
                    **known,
                    'run': run.identity,
                    'curves': self._curves(folder, run),
                }
        return None

    def _curves(self, folder: Path, run: Run) -> dict[str, Points]:
        table = self._table(folder, f'{run.study}_curves.csv')
        rows = table[table['run'] == run.id].to_dict('records') if len(table) else []
        return {str(row['series']): unpack(str(row['points'])) for row in rows}

    def _table(self, folder: Path, name: str) -> pd.DataFrame:
        if (folder, name) not in self._tables:
            path = folder / name
            self._tables[folder, name] = (
                read_scores(path) if path.is_file() else pd.DataFrame()
            )
        return self._tables[folder, name]


def read_note(path: Path) -> dict[str, Any]:
    """Read the note of a run; {} if there is none or it is damaged."""
    try:
        note = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def read_scores(path: Path) -> pd.DataFrame:
    """Read a table of records or of runs, with its numbers as numbers.

    Raises:
        ValueError: If it is not such a table.
    """
    frame = read_table(path)
    whole = [name for name in ('fold', 'seed', 'epochs', 'images') if name in frame]
    real = [name for name in (*SCORES, 'seconds') if name in frame]
    try:
        frame[whole] = frame[whole].astype(int)
        frame[real] = frame[real].astype(float)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return frame


def collect(
    runs: Sequence[Run], records: Records, folder: Path, plan: Path
) -> list[Path]:
    """Merge the records of a plan into few tables.

    Args:
        runs: The plan; its order is that of the rows.
        records: The records that count, those in ``folder`` among them.
        folder: Where to write; files of `collect` are replaced.
        plan: The file of the plan, which is copied with the note beside it; the note
            keeps when collected runs were planned.

    Returns:
        The files that were written.

    Raises:
        ValueError: If a file of that name is there that `collect` did not write, or
            holds runs of another plan, which would be lost.
    """
    notes = {run: note for run in runs if (note := records.note(run)) is not None}
    if not notes:
        return []
    study = runs[0].study
    _refuse_loss(folder / f'{study}_runs.csv', notes)
    tables = {
        f'{study}_{model}.csv': pd.concat(
            [records.scores(run) for run in notes if run.model == model]
        )
        for model in dict.fromkeys(run.model for run in notes)
    }
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
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        require_own(folder / name, is_own_csv(*list(table.columns)[:3]))
    for name, table in tables.items():
        _write_csv(folder / name, table)
    about = read_about(plan)
    about['planned'] = records.dates_of_plans(study, about.get('planned', []))
    collected = folder / f'{study}_{PLAN}'
    write_bytes(collected, plan.read_bytes())
    write_bytes(collected.with_suffix('.json'), json.dumps(about, indent=2).encode())
    return [folder / name for name in tables]


def _refuse_loss(path: Path, notes: Mapping[Run, Any]) -> None:
    if not path.is_file():
        return
    kept = {run.id for run in notes}
    lost = [str(name) for name in read_scores(path)['id'] if name not in kept]
    if lost:
        raise ValueError(
            f'{path} holds {len(lost)} runs that this plan does not count, '
            f'{", ".join(lost[:5])} among them: their config, data or version is '
            'another. Collect into another folder, or move the file away'
        )


def pack(points: Sequence[Sequence[float]]) -> str:
    """Write a curve as text, ``x:y x:y ...``, with four digits and few points."""
    step = max(1, -(-len(points) // MOST_POINTS))
    kept = list(points)[::-1][::step][::-1]  # the last point stays
    return ' '.join(f'{x:g}:{y:.4g}' for x, y in kept)


def unpack(text: str) -> Points:
    """Return the points of a curve that `pack` wrote.

    Raises:
        ValueError: If it is not such a text.
    """
    pairs = (pair.split(':') for pair in text.split())
    return [(float(x), float(y)) for x, y in pairs]


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_bytes(path, frame.to_csv(index=False, lineterminator='\n').encode())
