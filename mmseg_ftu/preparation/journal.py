"""What a prepared folder says about itself, finished or not.

``manifest.json`` stands in a finished folder, ``progress.jsonl`` in an unfinished one.
Both hold the settings and, for each image, a fingerprint of all that it was made of, so
that a later run makes exactly what is missing or outdated.
"""

import json
from pathlib import Path

from .atomic_files import write_bytes
from .records import PreparationError

MANIFEST, PROGRESS = 'manifest.json', 'progress.jsonl'
BEGUN = {f'.{PROGRESS}.tmp'}  # what a run leaves that is killed as it begins
MADE_BY = 'mmseg_ftu'


class Journal:
    """Settings and fingerprints of a prepared folder.

    Args:
        folder: The prepared folder; it needn't exist.

    Attributes:
        settings: Settings of the run that began it; None for a new folder.
        fingerprints: Of each finished image, by id.
        stain_failures: Why a finished image couldn't be stain-normalised, by id.
        finished: Whether the run came to its end.

    Raises:
        PreparationError: If the folder holds other people's files.
    """

    def __init__(self, folder: Path):
        self._manifest, self._progress = folder / MANIFEST, folder / PROGRESS
        self.settings: dict | None = None
        self.fingerprints: dict[str, str] = {}
        self.stain_failures: dict[str, str] = {}
        self.finished = False
        if folder.exists() and not folder.is_dir():
            raise PreparationError(f'{folder} is a file; name a folder to write to')
        if self._progress.is_file():  # beside a manifest: died while removing it
            self._read_progress()
        elif self._manifest.is_file():
            self._read_manifest()
        elif folder.is_dir() and {path.name for path in folder.iterdir()} - BEGUN:
            raise PreparationError(
                f'{folder} is not empty and was not made by this tool; name another '
                'folder, or empty this one'
            )

    def require(self, settings: dict, overwrite: bool) -> None:
        """Check that the folder was made with these settings.

        Raises:
            PreparationError: If not, and ``overwrite`` isn't given.
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
                f'{self._manifest.parent} was begun with other settings: {changes}; '
                'name another folder, use the same settings, or pass --overwrite'
            )

    def begin(self, settings: dict, fingerprints: dict[str, str]) -> None:
        """Mark the folder as unfinished, with what is still valid."""
        entries = [{'made_by': MADE_BY, 'settings': settings}]
        failures = self.stain_failures
        self.stain_failures = {k: failures[k] for k in fingerprints if k in failures}
        entries += [self._entry(name, made) for name, made in fingerprints.items()]
        lines = ''.join(json.dumps(entry) + '\n' for entry in entries)
        write_bytes(self._progress, lines.encode())
        self._manifest.unlink(missing_ok=True)
        self.fingerprints = dict(fingerprints)

    def add(self, name: str, fingerprint: str, failure: str | None = None) -> None:
        """Note that an image is finished, and why its stains weren't normalised."""
        self.fingerprints[name] = fingerprint
        if failure is not None:
            self.stain_failures[name] = failure
        with open(self._progress, 'a', encoding='utf-8') as file:
            file.write(json.dumps(self._entry(name, fingerprint)) + '\n')

    def _entry(self, name: str, fingerprint: str) -> dict[str, str]:
        entry = {'id': name, 'made_of': fingerprint}
        if name in self.stain_failures:
            entry['stain_failure'] = self.stain_failures[name]
        return entry

    def finish(self, manifest: dict) -> None:
        """Write the manifest and drop the notes."""
        made_of = dict(sorted(self.fingerprints.items()))
        failures = dict(sorted(self.stain_failures.items()))
        manifest = {'made_by': MADE_BY, **manifest, 'stain_failures': failures}
        manifest['made_of'] = made_of
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + '\n'
        write_bytes(self._manifest, text.encode())
        self._progress.unlink()
        self.finished = True

    def _read_manifest(self) -> None:
        try:
            manifest = json.loads(self._manifest.read_text(encoding='utf-8'))
            ours = manifest['made_by'] == MADE_BY
            self.settings, self.fingerprints = manifest['settings'], manifest['made_of']
            self.stain_failures = manifest.get('stain_failures', {})
        except (ValueError, TypeError, KeyError):
            ours = False
        if not ours:
            raise PreparationError(
                f'{self._manifest} was not made by this tool; name another folder'
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
            for entry in entries[1:]:
                self.fingerprints[entry['id']] = entry['made_of']
                if 'stain_failure' in entry:
                    self.stain_failures[entry['id']] = entry['stain_failure']
        except (TypeError, KeyError, IndexError):
            ours = False
        if not ours:
            raise PreparationError(
                f'{self._progress} was not made by this tool; name another folder'
            )
