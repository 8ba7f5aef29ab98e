"""What a prepared folder says about itself, finished or not.

``manifest.json`` stands in a finished folder, ``progress.jsonl`` in an unfinished one.
Both hold the settings and, for each image, a fingerprint of all that it was made of and
the sizes of its files, so that a later run makes exactly what is missing or outdated.
The images that they name are the tool's own; other files are never touched.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import is_empty
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.prepared_folder import FolderPaths

PROGRESS = 'progress.jsonl'
LOCK = '.lock'  # of the process that is writing
MADE_BY = 'mmseg_ftu'


class Journal:
    """Settings and fingerprints of a prepared folder.

    Args:
        folder: The prepared folder; it need not exist.

    Attributes:
        settings: Settings of the run that began it; None for a new folder.
        fingerprints: Fingerprint of each finished image, by id.
        stain_failures: Why a finished image could not be stain-normalised, by id.
        sizes: Sizes of the files of each finished image, bytes, by id.
        begun: Images that an unfinished run was to make, by id: their files are the
            tool's own whether they are finished or not. None if it did not tell.
        side_files: Further files of the folder that are the tool's own.
        finished: Whether the run came to its end.

    Raises:
        PreparationError: If the folder holds other people's files.
    """

    def __init__(self, folder: Path):
        self._paths, self._progress = FolderPaths(folder), folder / PROGRESS
        self.settings: dict[str, Any] | None = None
        self.fingerprints: dict[str, str] = {}
        self.stain_failures: dict[str, str] = {}
        self.sizes: dict[str, list[int]] = {}
        self.begun: set[str] | None = set()
        self.side_files: set[str] = set()
        self.finished = False
        if folder.exists() and not folder.is_dir():
            raise PreparationError(f'{folder} is a file; name a folder to write to')
        if self._progress.is_file():  # beside a manifest: died while removing it
            self._read_progress()
        elif self._paths.manifest_path.is_file():
            self._read_manifest()
        elif not is_empty(folder, also=[LOCK]):
            raise PreparationError(
                f'{folder} is not empty and was not made by this tool; name another '
                'folder, or empty this one'
            )

    def is_as(self, other: 'Journal') -> bool:
        """Tell whether two journals say the same, so that nobody wrote in between."""
        mine, theirs = (
            (j.settings, j.fingerprints, j.sizes, j.begun, j.side_files, j.finished)
            for j in (self, other)
        )
        return mine == theirs

    def require(self, settings: dict[str, Any], overwrite: bool) -> None:
        """Check that the folder was made with these settings.

        Raises:
            PreparationError: If it was made with others, and ``overwrite`` is not
                given.
        """
        if self.settings is None or overwrite:
            return
        names = [
            name
            for name in sorted({*settings, *self.settings})
            if settings.get(name) != self.settings.get(name)
        ]
        if names:
            changes = ', '.join(
                f'{name} {self.settings.get(name)!r} (now {settings.get(name)!r})'
                for name in names
            )
            raise PreparationError(
                f'{self._paths.path} was begun with other settings: {changes}; '
                'name another folder, use the same settings, or pass --overwrite'
            )

    def is_own(self, name: str) -> bool:
        """Tell whether the files of an image are the tool's own."""
        return self.begun is None or name in self.begun or name in self.fingerprints

    def begin(
        self,
        settings: dict[str, Any],
        fingerprints: dict[str, str],
        planned: set[str],
        side_files: Iterable[str] = (),
    ) -> None:
        """Mark the folder as unfinished.

        Args:
            settings: Settings of this run.
            fingerprints: Fingerprint of each image that is still valid, by id.
            planned: Images that will be made, by id.
            side_files: Further files that will be written.
        """
        self.begun = {*(self.begun or ()), *self.fingerprints, *planned}
        self.side_files |= {*side_files}
        first: dict[str, Any] = {
            'made_by': MADE_BY,
            'settings': settings,
            'begun': sorted(self.begun),
        }
        if self.side_files:
            first['side_files'] = sorted(self.side_files)
        failures, sizes = self.stain_failures, self.sizes
        self.stain_failures = {k: failures[k] for k in fingerprints if k in failures}
        self.sizes = {k: sizes[k] for k in fingerprints if k in sizes}
        entries = [self._entry(name, made) for name, made in fingerprints.items()]
        lines = ''.join(json.dumps(entry) + '\n' for entry in [first, *entries])
        write_bytes(self._progress, lines.encode())
        self._paths.manifest_path.unlink(missing_ok=True)
        self.fingerprints = dict(fingerprints)

    def add(
        self, name: str, fingerprint: str, sizes: list[int], failure: str | None = None
    ) -> None:
        """Note that an image is finished.

        Args:
            name: Id of the image.
            fingerprint: Fingerprint of all that the image was made of.
            sizes: Sizes of the image's files, bytes.
            failure: Why its stains were not normalised, if so.
        """
        self.fingerprints[name] = fingerprint
        self.sizes[name] = sizes
        if failure is not None:
            self.stain_failures[name] = failure
        with open(self._progress, 'a', encoding='utf-8') as file:
            file.write(json.dumps(self._entry(name, fingerprint)) + '\n')

    def _entry(self, name: str, fingerprint: str) -> dict[str, Any]:
        entry: dict[str, Any] = {'id': name, 'made_of': fingerprint}
        if name in self.sizes:
            entry['sizes'] = self.sizes[name]
        if name in self.stain_failures:
            entry['stain_failure'] = self.stain_failures[name]
        return entry

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest and drop the notes."""
        made_of = dict(sorted(self.fingerprints.items()))
        failures = dict(sorted(self.stain_failures.items()))
        manifest = {'made_by': MADE_BY, **manifest, 'stain_failures': failures}
        manifest |= {'made_of': made_of, 'sizes': dict(sorted(self.sizes.items()))}
        if self.side_files:
            manifest['side_files'] = sorted(self.side_files)
        self._paths.write_manifest(manifest)
        self._progress.unlink(missing_ok=True)
        self.finished = True

    def _read_manifest(self) -> None:
        try:
            manifest = self._paths.read_manifest()
            ours = manifest['made_by'] == MADE_BY
            self.settings, self.fingerprints = manifest['settings'], manifest['made_of']
            self.stain_failures = manifest.get('stain_failures', {})
            self.sizes = manifest.get('sizes', {})
            self.side_files = {*manifest.get('side_files', ())}
        except (ValueError, TypeError, KeyError):
            ours = False
        if not ours:
            raise PreparationError(
                f'{self._paths.manifest_path} was not made by this tool; name another '
                'folder'
            )
        self.finished = True

    def _read_progress(self) -> None:
        entries = []
        for line in self._progress.read_text(encoding='utf-8').splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:  # the line that was being written when the run died
                break
        try:
            ours = entries[0]['made_by'] == MADE_BY
            self.settings = entries[0]['settings']
            self.side_files = {*entries[0].get('side_files', ())}
            self.begun = None
            if 'begun' in entries[0]:
                self.begun = {*entries[0]['begun']}
            for entry in entries[1:]:
                self.fingerprints[entry['id']] = entry['made_of']
                if 'sizes' in entry:
                    self.sizes[entry['id']] = entry['sizes']
                if 'stain_failure' in entry:
                    self.stain_failures[entry['id']] = entry['stain_failure']
        except (TypeError, KeyError, IndexError):
            ours = False
        if not ours:
            raise PreparationError(
                f'{self._progress} was not made by this tool; name another folder'
            )
