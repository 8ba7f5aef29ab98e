"""The memory of a prediction folder: what is done, with which settings, by whom.

Every image has a record of its own, written when its files are complete, and the record
lists these files with their sizes. So a run that was stopped goes on, several processes
share a folder without a collision, whoever finishes last leaves the complete tables,
and nothing is replaced or removed that the tool did not write.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmseg_ftu.inference.claims import Claims, InUse
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.own_results import (
    PARTS,
    changed_since,
    digests_of,
    listed_files,
    refuse_foreign,
    refuse_links,
    remove_empty_parts,
    remove_results,
    size_of,
)
from mmseg_ftu.inference.prediction_settings import (
    changed_settings,
    read_settings,
    write_settings,
)
from mmseg_ftu.inference.prediction_tables import (
    changed_tables,
    remove_tables,
    tables_of,
    write_tables,
)
from mmseg_ftu.io.atomic_files import remove_leftovers, write_bytes
from mmseg_ftu.io.locks import locked
from mmseg_ftu.io.own_files import followed, set_aside
from mmseg_ftu.io.tables import id_fault

MINE, DONE, ELSEWHERE = 'mine', 'done', 'elsewhere'


class PredictionFolder:
    """A folder of predictions made with one set of settings.

    Args:
        path: The folder; made if it is not there.
        settings: Everything that changes a result, fit for JSON. ``kinds`` says which
            tables the folder has.
        about: Further entries of ``prediction.json``.
        overwrite: Begin anew if the folder holds predictions of other settings: the
            files that its records list are removed. Also allows to replace the result
            of another image of the same name.

    Attributes:
        kept_changed: Results that were changed since they were written, under the
            names that they have now.

    Raises:
        ValueError: If the folder is not ours, was made by another version, is being
            written to with other settings, or holds results of other settings and
            ``overwrite`` is not given.
    """

    def __init__(
        self,
        path: Path,
        settings: dict[str, Any],
        about: dict[str, Any],
        overwrite: bool = False,
    ) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))
        self.overwrite = overwrite
        self.kept_changed: list[str] = []
        self._about, self._records = about, path / 'records'
        self._claims = Claims(self._records)
        self._users = InUse(self._records / '.in_use')
        self._taken: dict[str, str] = {}  # keys of images, before they were read
        read_settings(path)  # before anything is written into a folder of others
        refuse_links(path)
        path.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._begin()

    def _begin(self) -> None:
        there = read_settings(self.path)
        changed = changed_settings(there, self.settings, self._about)
        if there and changed:
            if not self.overwrite and self._any_done():
                raise ValueError(
                    f'{self.path} holds predictions made with other settings '
                    f'({", ".join(changed)}): give another --output, or --overwrite'
                )
            self._clear(there)
        write_settings(self.path, self.settings, self._about)
        self._records.mkdir(exist_ok=True)

    def _clear(self, there: dict[str, Any]) -> None:
        """Remove what the records list, the records and the tables."""
        self._records.mkdir(exist_ok=True)  # a run may have been killed before
        if not self._users.is_mine_alone():
            raise ValueError(
                f'{self.path}: another process is predicting into it with other '
                'settings: wait for its end, or give another --output'
            )
        had, wanted = there.get('kinds', ()), self.settings.get('kinds', ())
        refuse_foreign(self.path, tables_of(wanted), own=tables_of(had))
        self._set_aside(changed_tables(self.path, self._records))
        remove_tables(self.path, had)
        for name, files in self._claims.left().items():
            remove_results(self.path, listed_files(files))
            self._claims.forget(name)
        for path in self._records.glob('*.json'):
            record = self._read(path)
            if 'of' in record:
                self._set_aside(changed_since(self.path, record))
                remove_results(self.path, listed_files(record.get('files', ())))
                path.unlink(missing_ok=True)
        remove_empty_parts(self.path)

    def _any_done(self) -> bool:
        records = self._records.glob('*.json')
        return any(self._read(path).get('status') == 'done' for path in records)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the folder: nobody can begin anew in it with other settings.

        Raises:
            ValueError: If somebody has done so since this object was made.
        """
        with self._locked():
            there = read_settings(self.path)
            if changed_settings(there, self.settings, self._about):
                raise ValueError(
                    f'{self.path}: another process began anew with other settings'
                )
            self._users.share()
            self._tidy()
        try:
            yield
        finally:
            self._claims.drop_all()
            self._users.leave()

    def _tidy(self) -> None:
        """Remove what dead processes left that nobody needs."""
        for folder in (self.path, self._records, *(self.path / n for n in PARTS)):
            remove_leftovers(folder)
        for name in self._claims.left():
            if self._read(self._record(name)).get('status') == 'done':
                self._claims.forget(name)

    def is_done(self, job: Job) -> bool:
        """Tell whether an image was predicted, and nothing has changed since.

        Neither the image nor its files may have changed: each must be there, with the
        size on record.
        """
        record = self._read(self._record(job.id))
        return (
            record.get('status') == 'done'
            and record.get('of') == self._key(job)
            and all(
                size_of(self.path / name) == size
                for name, size in listed_files(record.get('files')).items()
            )
        )

    def refuse_other_images(self, jobs: Iterable[Job]) -> None:
        """Raise ValueError if a result would replace that of another image."""
        records = {path.stem.casefold(): path for path in self._records.glob('*.json')}
        for job in jobs:
            path = records.get(job.id.casefold())
            if path is not None:
                self._refuse_other_image(self._read(path), job)

    def _refuse_other_image(self, record: dict[str, Any], job: Job) -> None:
        if self._is_of_other_image(record, job):
            raise ValueError(
                f'{self.path} holds the result of {record["path"]}, and that of '
                f'{job.path} would have the same name, {job.id!r}: give another '
                '--output, rename one image, or --overwrite if it is the same image'
            )

    def _is_of_other_image(self, record: dict[str, Any], job: Job) -> bool:
        if self.overwrite or record.get('status') != 'done':
            return False
        return record.get('path') != str(followed(job.path))

    def take(self, job: Job, names: Sequence[str]) -> str:
        """Claim an image for this process; `keep` gives it back.

        Args:
            job: The image.
            names: Files that may be written of it, relative to the folder.

        Returns:
            `MINE`; `DONE` if it is done; `ELSEWHERE` if another process works on it.

        Raises:
            ValueError: If a file of that name is there that the tool did not write, or
                the result is that of another image.
        """
        if not self._claims.take(job.id):
            return ELSEWHERE
        if self.is_done(job):
            self._claims.drop(job.id)
            return DONE
        path = self._record(job.id)
        record, noted = self._read(path), listed_files(self._claims.noted(job.id))
        self._refuse_other_image(record, job)
        if path.is_file() and not record:  # damaged: it cannot tell, but it was ours
            noted |= dict.fromkeys(names)
        files = listed_files(record.get('files'))
        refuse_foreign(self.path, names, {*files, *noted})
        changed = changed_since(self.path, record)
        self._set_aside(name for name in changed if name not in noted)
        self._claims.note(job.id, {*files, *noted, *names})
        self._taken[job.id] = self._key(job)
        return MINE

    def _set_aside(self, names: Iterable[str]) -> None:
        """Keep results that somebody has edited under other names."""
        self.kept_changed += [set_aside(self.path, name) for name in names]

    def keep(
        self,
        job: Job,
        status: str,
        files: dict[str, Any] | None = None,
        **entries: Any,
    ) -> None:
        """Record an image that is through, and give it back.

        Args:
            job: The image.
            status: ``'done'`` or ``'failed'``.
            files: Sizes of the files that were written, bytes, by name.
            **entries: Columns of ``predictions.csv``, ``rle`` for a submission, and
                ``units``, a row of ``units_by_image.csv``.
        """
        path = self._record(job.id)
        before = self._read(path)
        if self._is_of_other_image(before, job):
            self._claims.drop(job.id)
            return
        own = listed_files([*(before.get('files') or ()), *self._claims.noted(job.id)])
        if status == 'done':
            remove_results(self.path, own.keys() - (files or {}).keys())
        else:  # what was begun stays the tool's own
            there = ((name, size_of(self.path / name)) for name in own)
            files = {name: size for name, size in there if size is not None}
        record = dict(
            of=self._taken.pop(job.id, None) or self._key(job),
            id=job.id,
            path=str(followed(job.path)),
            organ=job.organ,
            data_source=job.data_source,
            patient=job.patient,
            status=status,
            files=files or {},
            digests=digests_of(self.path, files or ()),
            **entries,
        )
        write_bytes(path, json.dumps(record).encode())
        self._claims.drop(job.id)

    def note_patient(self, job: Job) -> None:
        """Put a patient that has become known into the record of a done image."""
        path = self._record(job.id)
        if job.patient in (None, self._read(path).get('patient')):
            return
        if self._claims.take(job.id):  # else somebody makes the record anew
            record = self._read(path)
            if record.get('of') == self._key(job):
                record['patient'] = job.patient
                write_bytes(path, json.dumps(record).encode())
            self._claims.drop(job.id)

    def write_tables(
        self, order: Sequence[Job], kinds: Iterable[str]
    ) -> list[dict[str, Any]]:
        """Write ``predictions.csv``, and the tables of some kinds.

        Args:
            order: All images of this input, also those of other processes and those
                not done yet. They come first, in this order; images of earlier inputs
                come after them, by name.
            kinds: Kinds of files, as ``FileOptions`` has them.

        Returns:
            The records of this input that exist, in this order.
        """
        with self._locked():
            paths = [self._record(job.id) for job in order]
            others = sorted({*self._records.glob('*.json')} - {*paths})
            first = [record for record in map(self._read, paths) if record]
            records = first + [record for record in map(self._read, others) if record]
            self._set_aside(changed_tables(self.path, self._records))
            write_tables(self.path, self._records, records, kinds)
        return first

    def _record(self, name: str) -> Path:
        if id_fault(name):  # of an image that fails; its name may not suit a file
            name = f'odd_name_{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}'
        return self._records / f'{name}.json'

    def _key(self, job: Job) -> str:
        """Return a text that changes with the image and what is known of it."""
        try:
            stat = job.path.stat()
            file = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            file = None
        known = {**asdict(job), 'path': str(followed(job.path)), 'file': file}
        del known['patient']  # no result depends on it; see note_patient
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        try:
            record = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) and 'id' in record else {}

    def _locked(self) -> AbstractContextManager[None]:
        """Keep other processes of this machine or its network disk out."""
        return locked(self.path / '.lock')
