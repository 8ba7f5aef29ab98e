"""The memory of a prediction folder: what is done, with which settings, by whom.

Every image has a record of its own, written when its files are complete. So a run that
was stopped goes on, several processes share a folder without a collision, and whoever
finishes last leaves the complete tables.
"""

import csv
import fcntl
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ..preparation.atomic_files import write_bytes
from .inputs import Job
from .writers import write_submission

LAYOUT = 1
COLUMNS = (
    *('id', 'path', 'organ', 'data_source', 'pixel_size', 'height', 'width'),
    *('threshold', 'foreground', 'objects', 'status', 'reason', 'stain_failure'),
)


class PredictionFolder:
    """A folder of predictions made with one set of settings.

    Args:
        path: The folder; made if it isn't there.
        settings: Everything that changes a result, fit for JSON.
        about: What else ``prediction.json`` tells.
        overwrite: Begin anew if the folder holds predictions of other settings; what
            was written of those is removed.

    Raises:
        ValueError: If it does, without ``overwrite``.
    """

    parts = ('masks', 'overlays', 'geojson', 'probabilities')  # made by write_files

    def __init__(
        self, path: Path, settings: dict, about: dict, overwrite: bool = False
    ) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))
        path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._begin(about, overwrite)

    def _begin(self, about: dict, overwrite: bool) -> None:
        file, there = self.path / 'prediction.json', {}
        if file.is_file():
            there = self._settings_of(file)
        changed = sorted(
            key
            for key in {*self.settings, *there}
            if key not in {*about, 'made_by', 'layout'}
            and there.get(key) != self.settings.get(key)
        )
        if there and changed:
            if not overwrite and self._any_done():
                raise ValueError(
                    f'{self.path} holds predictions made with other settings '
                    f'({", ".join(changed)}): give another --output, or --overwrite'
                )
            for name in ('records', *self.parts):
                shutil.rmtree(self.path / name, ignore_errors=True)
        about = dict(made_by='mmseg_ftu', layout=LAYOUT, **about)
        text = json.dumps({**about, **self.settings}, indent=2)
        write_bytes(file, text.encode())
        (self.path / 'records').mkdir(exist_ok=True)

    @staticmethod
    def _settings_of(file: Path) -> dict:
        try:
            return dict(json.loads(file.read_text(encoding='utf-8')))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f'{file}: damaged ({error}); remove it, and what lies beside it'
            ) from error

    def _any_done(self) -> bool:
        records = (self.path / 'records').glob('*.json')
        return any(self._read(path).get('status') == 'done' for path in records)

    def is_done(self, job: Job) -> bool:
        """Tell whether an image was predicted, and hasn't changed since."""
        record = self._read(self._record(job.id))
        return record.get('status') == 'done' and record.get('of') == self._key(job)

    def keep(self, job: Job, **entries) -> None:
        """Record an image; the columns of `COLUMNS`, and ``rle`` for a submission."""
        record = dict(
            of=self._key(job),
            id=job.id,
            path=str(job.path.resolve()),
            organ=job.organ,
            data_source=job.data_source,
            **entries,
        )
        write_bytes(self._record(job.id), json.dumps(record).encode())

    def write_tables(self, order: Sequence[Job], submission: bool) -> list[dict]:
        """Write ``predictions.csv``, and ``submission.csv`` where it is wanted.

        Args:
            order: All images of this input, also those of other processes and those
                not done yet. Images of earlier inputs come after them in the table, and
                are no part of the submission.
            submission: Whether to write that too; failed images count as empty.

        Returns:
            The records of this input that exist, in this order.
        """
        with self._locked():
            paths = [self._record(job.id) for job in order]
            records = [self._read(path) for path in paths]
            records = [record for record in records if record]
            others = sorted({*(self.path / 'records').glob('*.json')} - {*paths})
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, extrasaction='ignore')
            writer.writeheader()
            writer.writerows([*records, *map(self._read, others)])
            write_bytes(self.path / 'predictions.csv', text.getvalue().encode())
            if submission:
                rows = [(record['id'], record.get('rle', '')) for record in records]
                write_submission(self.path / 'submission.csv', rows)
        return records

    def _record(self, name: str) -> Path:
        return self.path / 'records' / f'{name}.json'

    def _key(self, job: Job) -> str:
        """Return a text that changes with the image and what is known of it."""
        try:
            stat = job.path.stat()
            file = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            file = None
        known = {**asdict(job), 'path': str(job.path.resolve()), 'file': file}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @staticmethod
    def _read(path: Path) -> dict:
        try:
            return json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return {}

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes of this machine or its network disk out."""
        with (self.path / '.lock').open('w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
