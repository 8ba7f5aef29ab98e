"""The prepared folder, which training reads: known here and nowhere else.

- ``images/<id>.png``: RGB at training size.
- ``masks/<id>.png``: 0 background, 1 unit, 255 ignored; as large as the image.
- ``masks_original/<id>.png``: the same at the size of the original image.
- ``folds.csv``: one row for each image; its columns are in ``prepared_table``.
- ``tiles.csv``, ``slides.csv``, ``overviews/<slide>.jpg``, if images are tiles of
  slides: where each lies, what each slide gave, and each slide with its annotations.
- ``manifest.json``: how the folder was made. It is written last, so a folder that has
  it is complete.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pandas as pd

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.tables import repeated_ids
from mmseg_ftu.prepared_table import (
    NEEDED,
    SHOWN,
    PreparedImage,
    folds_id,
    read_images,
    table_bytes,
)
from mmseg_ftu.recipe import StainStep, stain_of

IMAGES, MASKS, ORIGINAL_MASKS = 'images', 'masks', 'masks_original'
FOLDERS = (IMAGES, MASKS, ORIGINAL_MASKS)
TABLE, MANIFEST = 'folds.csv', 'manifest.json'
TILES, SLIDES, OVERVIEWS = 'tiles.csv', 'slides.csv', 'overviews'
SUFFIX = '.png'
PREPARE = (
    'Prepare it with `mmseg-ftu prepare hubmap SRC {path}` (the competition), '
    '`mmseg-ftu prepare pairs` (your own images and masks) or '
    '`mmseg-ftu prepare slides` (slides with annotations).'
)


def read_bytes(path: str) -> bytes | None:
    """Return the content of a file, None where there is no such file."""
    return Path(path).read_bytes() if Path(path).is_file() else None


@dataclass(frozen=True)
class FolderPaths:
    """Where things lie in a prepared folder, also in one that is to be written.

    Attributes:
        path: The folder.
        table: The table of the images, relative to the folder.
    """

    path: Path
    table: str = TABLE

    @property
    def table_path(self) -> Path:
        """The table of the images."""
        return self.path / self.table

    @property
    def manifest_path(self) -> Path:
        """The manifest."""
        return self.path / MANIFEST

    def image_path(self, name: str) -> Path:
        """Return the file of an image at training size."""
        return self._file(IMAGES, name)

    def mask_path(self, name: str, original: bool = False) -> Path:
        """Return the file of a mask, at training size or the original size."""
        return self._file(ORIGINAL_MASKS if original else MASKS, name)

    def files_of(self, name: str) -> list[Path]:
        """Return all files of an image, in the order of `FOLDERS`."""
        return [self._file(folder, name) for folder in FOLDERS]

    def _file(self, folder: str, name: str) -> Path:
        return self.path / folder / f'{name}{SUFFIX}'

    @property
    def is_finished(self) -> bool:
        """Whether the table and the manifest are there."""
        return self.table_path.is_file() and self.manifest_path.is_file()

    def require_finished(self, exists: Callable[[str], bool] = os.path.exists) -> None:
        """Raise ValueError where the table or the manifest is missing.

        Args:
            exists: Tells whether there is a file.
        """
        for path in (self.table_path, self.manifest_path):
            if not exists(str(path)):
                raise self._lacking(path)

    def read_manifest(
        self, read: Callable[[str], bytes | None] = read_bytes
    ) -> dict[str, Any]:
        """Read the manifest.

        Args:
            read: Returns the content of a file, None where there is no such file.

        Raises:
            ValueError: If it is missing, is not JSON, or has no settings.
        """
        content = read(str(self.manifest_path))
        if content is None:
            raise self._lacking(self.manifest_path)
        try:
            manifest = json.loads(content)
            if not isinstance(manifest['settings'], dict):
                raise TypeError("'settings' is not an object")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{self.manifest_path}: no manifest ({error}); prepare again'
            ) from error
        return dict(manifest)

    def _lacking(self, path: Path) -> ValueError:
        return ValueError(
            f'data_root={str(self.path)!r} is not a (completely) prepared folder: '
            f'{path} is missing. ' + PREPARE.format(path=self.path)
        )

    def has_table(self, frame: pd.DataFrame) -> bool:
        """Tell whether the table is there and holds what a frame holds."""
        return read_bytes(str(self.table_path)) == table_bytes(frame)

    def write_table(self, frame: pd.DataFrame) -> None:
        """Write the table from a frame with the columns of ``prepared_table``."""
        write_bytes(self.table_path, table_bytes(frame))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, which has to hold ``settings``; do it last."""
        text = json.dumps(manifest, indent=2, ensure_ascii=False) + '\n'
        write_bytes(self.manifest_path, text.encode())


@dataclass(frozen=True)
class PreparedFolder(FolderPaths):
    """A prepared folder whose table and manifest were read and checked.

    Attributes:
        images: The rows of the table, in its order.
        manifest: Content of the manifest; empty where it was not asked for.
    """

    images: tuple[PreparedImage, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        path: str | Path,
        needed: Collection[str] = NEEDED,
        finished: bool = True,
        table: str = TABLE,
        read: Callable[[str], bytes | None] = read_bytes,
    ) -> Self:
        """Read a folder; images and masks stay unread.

        Args:
            path: The folder.
            needed: Columns that the table must have. Sizes and folds that are needed
                must not be blank either.
            finished: Whether the manifest must be there. If not, it is not read.
            table: The table of the images, relative to the folder.
            read: Returns the content of a file, None where there is no such file.

        Raises:
            ValueError: If the table or the manifest is missing or faulty, or ids occur
                twice; the message lists the faults of all rows.
        """
        paths = FolderPaths(Path(path), table)
        content = read(str(paths.table_path))
        if content is None:
            raise paths._lacking(paths.table_path)
        manifest = paths.read_manifest(read) if finished else {}
        images = read_images(paths.table_path, needed, content)
        if repeated := sorted(repeated_ids(image.id for image in images)):
            raise ValueError(
                f'{paths.table_path}: ids occur twice: {", ".join(repeated[:SHOWN])}; '
                'keep one row each'
            )
        return cls(paths.path, table, images, manifest)

    @property
    def settings(self) -> dict[str, Any]:
        """What the manifest says about how the folder was prepared."""
        return dict(self.manifest.get('settings', {}))

    @property
    def size(self) -> int | None:
        """Longer side of the images, px; None where each kept its own size."""
        return self.settings.get('size')

    @property
    def stain(self) -> StainStep | None:
        """How the stains were normalised; None if they were not.

        Raises:
            ValueError: If the manifest's entry cannot be understood.
        """
        return stain_of(self.settings, str(self.manifest_path))

    @property
    def folds(self) -> dict[str, int]:
        """Fold of each image by id, 0-based, as far as the table tells."""
        return {i.id: i.fold for i in self.images if i.fold is not None}

    @property
    def folds_id(self) -> str:
        """Name of the split into folds, 12 hexadecimal digits."""
        return folds_id(self.folds)

    def in_fold(self, fold: int) -> tuple[PreparedImage, ...]:
        """Return the images that are held out in a fold.

        Raises:
            ValueError: If there are none.
        """
        chosen = tuple(image for image in self.images if image.fold == fold)
        if not chosen:
            there = ', '.join(map(str, sorted({*self.folds.values()}))) or 'none'
            raise ValueError(
                f'{self.table_path}: no image of fold {fold}; it has the folds {there}'
            )
        return chosen

    def require_files(
        self,
        images: Iterable[PreparedImage],
        original: bool = False,
        exists: Callable[[str], bool] = os.path.exists,
    ) -> None:
        """Raise where files of images or masks are missing.

        Args:
            images: The images whose files are wanted.
            original: Whether the masks of the original size are wanted.
            exists: Tells whether there is a file.

        Raises:
            ValueError: With the missing files.
        """
        missing = [
            f'{image.id} ({path})'
            for image in images
            for path in (self.image_path(image.id), self.mask_path(image.id, original))
            if not exists(str(path))
        ]
        if missing:
            shown = '\n  '.join(missing[:SHOWN])
            more = len(missing) - SHOWN
            rest = f'\n  and {more} more' if more > 0 else ''
            raise ValueError(
                f'{self.table_path}: {len(missing)} files are missing:\n  {shown}{rest}'
                f'\n{PREPARE.format(path=self.path)}'
            )
