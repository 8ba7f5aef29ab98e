"""Write a prepared folder, or what of it is missing or outdated.

A run that is interrupted goes on where it was; see ``journal``. What the images are
made of is not known here: pairs of files (``prepare_folder``), or tiles of slides
(``slides``).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from mmseg_ftu.io.atomic_files import remove_leftovers, write_bytes
from mmseg_ftu.preparation.folder_lock import held, refusing_others, require_free
from mmseg_ftu.preparation.folder_summary import count_images, describe_folder
from mmseg_ftu.preparation.journal import Journal
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.preparation.staining import stain_summary
from mmseg_ftu.prepared_folder import FOLDERS, SUFFIX, FolderPaths
from mmseg_ftu.recipe import stain_of


class ImagesToWrite(Protocol):
    """Images and masks that make up a prepared folder.

    Attributes:
        made_of: Fingerprint of all that an image depends on, by id.
        side_files: Content of further files of the folder, by their relative names.
    """

    made_of: Mapping[str, str]
    side_files: Mapping[str, bytes]

    def checked_table(self, current: Collection[str]) -> pd.DataFrame:
        """Check images that are not current; return the rows of ``folds.csv``.

        Raises:
            PreparationError: With all faults.
        """

    def write(
        self, paths: FolderPaths, ids: Collection[str]
    ) -> Iterator[tuple[str, str | None]]:
        """Write some images; yield each id and why its stains could not be fitted."""


class FolderWriter:
    """Write a prepared folder.

    Args:
        sources: Folders of the originals; the prepared folder must lie outside.
        folder: Folder to write: new, empty, or made by an earlier run.
        settings: Settings of the run, kept in the manifest. ``stain`` is an entry of
            ``StainStep.to_dict``.
        overwrite: Accept a folder begun with other settings.

    Raises:
        PreparationError: If the folder lies in a source, holds files of others, or was
            begun with other settings.
    """

    def __init__(
        self,
        sources: Iterable[Path],
        folder: Path,
        settings: dict[str, Any],
        overwrite: bool,
    ) -> None:
        for source in sources:
            _refuse_nesting(source, folder)
        self.paths, self.settings, self.overwrite = (
            FolderPaths(folder),
            settings,
            overwrite,
        )
        require_free(folder)
        self.journal = Journal(folder)
        self.journal.require(settings, overwrite)

    def write(self, images: ImagesToWrite) -> str:
        """Write what is missing or outdated.

        Returns:
            A summary for people.

        Raises:
            PreparationError: With all faults, before anything is written.
        """
        paths, journal, folder = self.paths, self.journal, self.paths.path
        current = self._current(images.made_of)
        with refusing_others(folder, journal):
            self._refuse_others(images.made_of.keys() - current.keys())
            self._refuse_side_files(images.side_files)
        table = images.checked_table(current)
        todo = set(table['id']) - set(current)
        if not todo and self._is_finished(table, images.side_files):
            return (
                f'{folder} is finished already, nothing to do.\n{count_images(table)}'
            )
        with refusing_others(folder, journal):
            strays = self._strays(set(table['id']))
        with held(folder, journal):
            journal.begin(self.settings, current, todo, images.side_files)
            for name in FOLDERS:
                (folder / name).mkdir(exist_ok=True)
                remove_leftovers(folder / name)
            remove_leftovers(folder)
            for name, failure in images.write(paths, todo):
                sizes = [path.stat().st_size for path in paths.files_of(name)]
                journal.add(name, images.made_of[name], sizes, failure)
            self._write_side_files(images.side_files)
            for path in strays:
                path.unlink(missing_ok=True)
            paths.write_table(table)
            journal.finish(describe_folder(table, len(images.made_of), self.settings))
        written = f'{folder}: wrote {len(todo)} of {len(table)} images.'
        stain = stain_of(self.settings, str(paths.manifest_path))
        stains = stain_summary(stain, journal.stain_failures)
        return f'{written}\n{count_images(table)}{stains}'

    def _current(self, made_of: Mapping[str, str]) -> dict[str, str]:
        """Return the images that need not be made again, with their fingerprints."""
        journal = self.journal
        return {
            name: made
            for name, made in made_of.items()
            if journal.fingerprints.get(name) == made
            and _has_files(self.paths, name, journal.sizes.get(name))
        }

    def _is_finished(
        self, table: pd.DataFrame, side_files: Mapping[str, bytes]
    ) -> bool:
        """Tell whether the folder is as it would be after a run."""
        journal, folder = self.journal, self.paths.path
        return (
            journal.finished
            and journal.settings == self.settings
            and self.paths.has_table(table)
            and journal.side_files == {*side_files}
            and all(_holds(folder / name, data) for name, data in side_files.items())
        )

    def _refuse_others(self, names: Iterable[str]) -> None:
        """Raise where an image would replace files that the tool did not write.

        Files that were edited or damaged since are refused too, unless ``overwrite`` is
        given.
        """
        for name in sorted(names):
            sizes = self.journal.sizes.get(name, [None] * len(FOLDERS))
            for path, size in zip(self.paths.files_of(name), sizes, strict=True):
                if not path.exists():
                    continue
                if not self.journal.is_own(name):
                    raise _in_the_way(path)
                if size not in (None, path.stat().st_size) and not self.overwrite:
                    raise PreparationError(
                        f'{path} was edited or damaged since it was prepared: it has '
                        f'{path.stat().st_size} bytes and had {size}; move it away, or '
                        'pass --overwrite to make it again'
                    )

    def _refuse_side_files(self, side_files: Mapping[str, bytes]) -> None:
        """Raise where a further file would replace one that is not the tool's own."""
        for name in side_files:
            path = self.paths.path / name
            if path.exists() and name not in self.journal.side_files:
                raise _in_the_way(path)

    def _write_side_files(self, side_files: Mapping[str, bytes]) -> None:
        """Write the further files, and remove the tool's own that are outdated."""
        folder = self.paths.path
        for name, data in side_files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            remove_leftovers(path.parent, path.name)
            if not _holds(path, data):
                write_bytes(path, data)
        for name in self.journal.side_files - {*side_files}:
            (folder / name).unlink(missing_ok=True)
        self.journal.side_files = {*side_files}

    def _strays(self, ids: set[str]) -> list[Path]:
        """Return the tool's own files of images that are no longer listed.

        Raises:
            PreparationError: Somebody has worked on one since it was prepared, and
                ``overwrite`` is not given.
        """
        found = []
        for i, kind in enumerate(FOLDERS):
            for path in sorted((self.paths.path / kind).glob(f'*{SUFFIX}')):
                if path.stem in ids or not self.journal.is_own(path.stem):
                    continue
                sizes = self.journal.sizes.get(path.stem)
                edited = sizes and sizes[i] != path.stat().st_size
                if edited and not self.overwrite:
                    raise PreparationError(
                        f'{path} was edited since it was prepared, and its image is no '
                        'longer listed, so it would be removed: move it away, or pass '
                        '--overwrite'
                    )
                found.append(path)
        return found


def _refuse_nesting(source: Path, folder: Path) -> None:
    """Raise where one of the folders is, or lies in, the other."""
    source, target = source.resolve(), folder.resolve()
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise PreparationError(
            f'{folder} is, holds or lies in the source folder {source}; name a folder '
            'beside it'
        )
    for parent in target.parents:
        if FolderPaths(parent).is_finished:
            raise PreparationError(
                f'{folder} lies in the prepared folder {parent}; name a folder '
                'beside it'
            )


def _in_the_way(path: Path) -> PreparationError:
    return PreparationError(
        f'{path} is in the way and was not written by this tool: move it away, or name '
        'another folder'
    )


def _has_files(paths: FolderPaths, name: str, sizes: list[int] | None) -> bool:
    """Tell whether all files of an image are there, of the sizes on record."""
    files = paths.files_of(name)
    if not all(path.is_file() for path in files):
        return False
    return sizes is None or [path.stat().st_size for path in files] == sizes


def _holds(path: Path, data: bytes) -> bool:
    """Tell whether a file is there and holds some bytes."""
    return path.is_file() and path.read_bytes() == data
