"""The records of finished runs.

A record is a table with a row for each held-out image, ``ID.csv``, and a note about the
run, ``ID.json``, which is written last. The tables that ``collected_tables`` merges
them into count like records. A record is checked when it is read: what was cut or
edited is refused, not counted.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.tables import read_table
from mmseg_ftu.study.plan import COLUMNS as RUN_COLUMNS
from mmseg_ftu.study.plan import PLAN, Run, read_about

KEY = ['study', 'model', 'arm', 'fold', 'seed', 'epochs']
COLUMNS = [*KEY, 'image', 'patient', 'dice', 'dice_tta']
SCORES = ['dice', 'dice_tta']
NOTES = ['images', *SCORES, 'seconds', 'device', 'sources', 'commit', 'when']
CURVE_COLUMNS = ['run', 'series', 'points']
NEAR = 1e-4  # the mean of a table and the mean in its note; both are rounded
Points = list[tuple[float, float]]
Found = tuple[dict[str, Any], pd.DataFrame]  # the note of a run and its scores


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
    write_csv(folder / f'{run.id}.csv', frame)
    means = {name: round(float(images[name].mean()), 5) for name in SCORES}
    content = {**note, 'run': run.identity, 'images': len(images), **means}
    write_bytes(folder / f'{run.id}.json', json.dumps(content).encode())


class Records:
    """The records that count for a plan.

    Args:
        folder: Folder of records, one pair of files a run.
        collected: Folders with collected tables.
    """

    def __init__(self, folder: Path, collected: Iterable[Path] = ()) -> None:
        self._folder = folder
        self._collected = [Collected(place) for place in collected]
        self._found: dict[Run, Found] = {}

    def note(self, run: Run) -> dict[str, Any] | None:
        """Return what is known of a run that is done; None if it is not.

        A record of another config, other data or another version does not count.

        Raises:
            ValueError: If the record is damaged.
        """
        found = self._find(run)
        return None if found is None else found[0]

    def scores(self, run: Run) -> pd.DataFrame:
        """Return the table of a run that is done, columns as in `COLUMNS`.

        Raises:
            ValueError: If the record is damaged, or there is none.
        """
        found = self._find(run)
        if found is None:
            raise ValueError(f'{self._folder}: there is no record of {run.id}')
        return found[1]

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
        for place in self._collected:
            about = read_about(place.folder / f'{study}_{PLAN}')
            found += [e for e in about.get('planned', []) if e not in found]
        return found + [entry for entry in now if entry not in found]

    def _find(self, run: Run) -> Found | None:
        for find in (self._own, *(place.find for place in self._collected)):
            if run in self._found:
                break
            if (found := find(run)) is not None:
                self._found[run] = found
        return self._found.get(run)

    def _own(self, run: Run) -> Found | None:
        path, about = (self._folder / f'{run.id}.{end}' for end in ('csv', 'json'))
        note = read_note(about)
        if note.get('run') != run.identity or not path.is_file():
            return None
        if missing := [
            key for key in ('images', *SCORES, 'seconds') if key not in note
        ]:
            raise ValueError(f'{about} lacks {", ".join(missing)}: {_mend(path, run)}')
        frame = read_scores(path, COLUMNS)
        if fault := fault_of(frame, run, note):
            raise ValueError(f'{path}: {fault}: {_mend(path, run)}')
        return note, frame


class Collected:
    """Tables of a folder that runs were collected into.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tables: dict[str, dict[Any, pd.DataFrame]] = {}

    def find(self, run: Run) -> Found | None:
        """Return note and scores of a run; None if it is not there.

        Raises:
            ValueError: If a table is damaged.
        """
        name = f'{run.study}_runs.csv'
        rows = self._rows(name, [*RUN_COLUMNS, *NOTES], 'id', run.id)
        for row in rows.to_dict('records'):
            if {key: row[key] for key in RUN_COLUMNS} == run.identity:
                note = {str(key): row[key] for key in NOTES}
                note |= {'run': run.identity, 'curves': self._curves(run)}
                return note, self._scores(run, note)
        return None

    def _scores(self, run: Run, note: Mapping[str, Any]) -> pd.DataFrame:
        name = f'{run.study}_{run.model}.csv'
        keys = tuple(getattr(run, key) for key in KEY)
        frame = self._rows(name, COLUMNS, KEY, keys)
        if fault := fault_of(frame, run, note):
            raise ValueError(
                f'{self.folder / name}: run {run.id}: {fault}. Get the table again, '
                f'or remove the run from {run.study}_runs.csv, and it is to do again'
            )
        return frame

    def _curves(self, run: Run) -> dict[str, Points]:
        name = f'{run.study}_curves.csv'
        rows = self._rows(name, CURVE_COLUMNS, 'run', run.id)
        try:
            return {
                str(r['series']): unpack(r['points']) for r in rows.to_dict('records')
            }
        except ValueError as error:
            raise ValueError(
                f'{self.folder / name}: run {run.id}: {error}; a curve is x:y x:y ...'
            ) from error

    def _rows(self, name: str, columns: list[str], by: Any, key: Any) -> pd.DataFrame:
        """Return the rows of a table whose key is this; the table is read once."""
        if name not in self._tables:
            path = self.folder / name
            frame = read_scores(path, columns) if path.is_file() else None
            groups = {} if frame is None else dict(iter(frame.groupby(by, sort=False)))
            self._tables[name] = groups
        found = self._tables[name].get(key)
        return pd.DataFrame(columns=columns) if found is None else found


def fault_of(frame: pd.DataFrame, run: Run, note: Mapping[str, Any]) -> str | None:
    """Say why scores are not those that were recorded; None if they are.

    Args:
        frame: Rows of a run, columns as in `COLUMNS`.
        run: The run.
        note: What is known of it.
    """
    for key in KEY:
        if (frame[key] != getattr(run, key)).any():
            return f'the column {key} has other values than {getattr(run, key)}'
    if len(frame) != note['images']:
        return f'there are {len(frame)} of {note["images"]} images'
    if repeated := sorted(set(frame['image'][frame['image'].duplicated()])):
        return f'the image {repeated[0]} stands there twice'
    for name in SCORES:
        if not frame[name].between(0, 1).all():
            wrong = frame[~frame[name].between(0, 1)].iloc[0]
            return f'{name} of the image {wrong["image"]} is {wrong[name]}'
        mean = frame[name].mean()
        if not abs(mean - note[name]) < NEAR:
            return f'the mean of {name} is {mean:.5f}, and was {note[name]}'
    return None


def _mend(path: Path, run: Run) -> str:
    return f'remove {path} and {run.id}.json beside it, and the run is to do again'


def read_note(path: Path) -> dict[str, Any]:
    """Read the note of a run; {} if there is none or it is damaged."""
    try:
        note = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def read_scores(path: Path, columns: Collection[str] = ()) -> pd.DataFrame:
    """Read a table of records or of runs, with its numbers as numbers.

    Args:
        path: The table.
        columns: Columns that it must have; others are left out.

    Raises:
        ValueError: If it is not such a table.
    """
    frame = read_table(path)
    if missing := [name for name in columns if name not in frame]:
        raise ValueError(f'{path}: columns are missing: {", ".join(missing)}')
    frame = frame[[*columns]] if columns else frame
    whole = [name for name in ('fold', 'seed', 'epochs', 'images') if name in frame]
    real = [name for name in (*SCORES, 'seconds') if name in frame]
    try:
        return frame.astype({**dict.fromkeys(whole, int), **dict.fromkeys(real, float)})
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def unpack(text: str) -> Points:
    """Return the points of a curve that ``pack`` wrote, ``x:y x:y ...``.

    Raises:
        ValueError: If it is not such a text.
    """
    pairs = (pair.split(':') for pair in str(text).split())
    return [(float(x), float(y)) for x, y in pairs]


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as our records are: no index, one kind of line end."""
    write_bytes(path, frame.to_csv(index=False, lineterminator='\n').encode())
