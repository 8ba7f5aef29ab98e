"""Masks of a data set, wherever they are kept: one reader for truth and predictions.

Five layouts are known: a prediction folder (``predictions.csv``), a folder written by
``tools/test.py --out`` (``dice_per_image.csv``), a prepared folder (``folds.csv``), a
plain folder of masks, and a CSV of run lengths as the competition has it. Tables of
them are described in docs/howto/evaluation.md.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmseg_ftu.evaluation.labels import Labels
from mmseg_ftu.evaluation.mask_tables import (
    SIZES,
    files_by_id,
    known_columns,
    read_settings_file,
    refuse_missing,
    run_lengths,
)
from mmseg_ftu.io.images import read_levels, read_size
from mmseg_ftu.io.tables import read_by_id
from mmseg_ftu.masks import rle
from mmseg_ftu.prepared_folder import MASKS, ORIGINAL_MASKS, TABLE, PreparedFolder

PREPARED = Labels((1,), 255)


@dataclass
class MaskSource:
    """Masks by id, read on demand.

    Attributes:
        path: Folder or CSV it was opened from.
        table: Index id; columns ``organ``, ``data_source`` (``''`` if unknown),
            ``pixel_size`` (um/px, NaN if unknown), ``height``, ``width`` (px of the
            mask, NA if unknown) and, where known, ``fold``.
        masks: Mask files by id.
        runs: Run lengths by id, for ids without a file.
        probabilities: Files of probabilities by id.
        images: Files of the images by id, as far as they are known.
        absent: Ids without a mask, and why: images whose prediction failed.
        settings: Content of ``prediction.json``; empty elsewhere.
        labels: What the labels of the mask files mean.
    """

    path: Path
    table: pd.DataFrame
    masks: Mapping[str, Path] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    probabilities: Mapping[str, Path] = field(default_factory=dict)
    images: Mapping[str, Path] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)

    @property
    def ids(self) -> list[str]:
        """Return the ids, in the order of the table."""
        return list(self.table.index)

    def size(self, name: str) -> tuple[int, int] | None:
        """Return height and width as the table tells them, None if it does not."""
        known = self.table.loc[name, list(SIZES)]
        if not known.notna().all():
            return None
        height, width = map(int, known)
        return height, width

    def mask(self, name: str, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Read a mask.

        Args:
            name: Id of the image.
            shape: Height and width for run lengths whose table has none.

        Returns:
            ``(H, W)`` uint8: 0 background, 1 foreground, 255 ignored.

        Raises:
            ValueError: If there is none, or it is damaged.
        """
        if name in self.masks:
            return self.labels.read(self.masks[name])
        if name not in self.runs:
            only = ', only probabilities' if name in self.probabilities else ''
            raise ValueError(f'{self.path}: has no mask of {name!r}{only}')
        shape = self.size(name) or shape
        if shape is None:
            raise ValueError(
                f'{self.path}: has the run lengths of {name!r} but not its size; '
                'add the columns img_height and img_width'
            )
        try:
            return rle.decode(self.runs[name], shape)
        except ValueError as error:
            raise ValueError(f'{self.path}, id {name!r}: {error}') from None

    def instances(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Read an instance map, in which each unit has a label of its own.

        Returns:
            ``(H, W)`` of labels, 0 for background, and ``(H, W)`` bool: what is
            ignored.

        Raises:
            ValueError: If there is none, as run lengths and masks of prepared folders
                have no labels of units, or it is damaged.
        """
        if name not in self.masks or self.labels == PREPARED:
            raise ValueError(
                f'--{self.labels.prefix}instances: {self.path} holds one label for all '
                'units; give a folder of instance maps, or leave it out'
            )
        return self.labels.read_instances(self.masks[name])

    def probability(self, name: str) -> np.ndarray | None:
        """Read a map of probabilities, ``(h, w)`` uint8 of 255 * p; None if none.

        Raises:
            ValueError: If the file is damaged or not such a map.
        """
        path = self.probabilities.get(name)
        return None if path is None else read_levels(path)

    def image_path(self, name: str) -> Path | None:
        """Return the image's file, None if it is unknown; it may have been moved."""
        return self.images.get(name)


def open_masks(
    path: str | Path,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
    prefix: str = '',
) -> MaskSource:
    """Open masks or predictions of any known layout.

    Args:
        path: Folder or CSV, see the module.
        foreground: Labels that are foreground in files of masks, see ``Labels``.
        ignore: Label that is ignored there.
        prefix: How the options that say so begin, after ``--``; for messages.

    Raises:
        ValueError: If the layout is unknown, something is missing in it, or labels are
            given a meaning although theirs is known.
    """
    path, labels = Path(path), Labels(foreground, ignore, prefix)
    if path.is_file():
        labels.refuse(path, 'holds run lengths, which have no labels')
        return _open_csv(path)
    if not path.is_dir():
        raise ValueError(f'{path}: no such folder or CSV file')
    opener = next((LAYOUTS[name] for name in LAYOUTS if (path / name).is_file()), None)
    if opener is not None:
        return opener(path, labels)
    return _open_folder(path, labels)


def _open_prediction(path: Path, labels: Labels) -> MaskSource:
    """Open what tools/predict.py writes; only images that are done count."""
    table = read_by_id(path / 'predictions.csv')
    status = table.get('status', pd.Series('done', index=table.index))
    failed = table[status != 'done']
    reasons = failed.get('reason', pd.Series('failed', index=failed.index))
    runs = {}
    if (path / 'submission.csv').is_file():
        runs = run_lengths(path / 'submission.csv', read_by_id(path / 'submission.csv'))
    source = MaskSource(
        path=path,
        table=known_columns(table[status == 'done'], path / 'predictions.csv'),
        masks=files_by_id(path / 'masks'),
        runs=runs,
        probabilities=files_by_id(path / 'probabilities'),
        images={str(name): Path(x) for name, x in table.get('path', {}).items() if x},
        absent=dict(reasons),
        settings=read_settings_file(path / 'prediction.json'),
        labels=labels,
    )
    found = {*source.masks, *runs, *source.probabilities}
    refuse_missing(path, [name for name in source.ids if name not in found])
    return source


def _open_test_result(path: Path, labels: Labels) -> MaskSource:
    """Open what tools/test.py --out writes."""
    masks = files_by_id(path)
    table = read_by_id(path / 'dice_per_image.csv')
    refuse_missing(path, [name for name in table.index if name not in masks])
    table[list(SIZES)] = [read_size(masks[name]) for name in table.index]
    table = known_columns(table, path / 'dice_per_image.csv')
    return MaskSource(path=path, table=table, masks=masks, labels=labels)


def _open_prepared(path: Path, labels: Labels) -> MaskSource:
    """Open what tools/prepare_*.py write; masks at the original size."""
    labels.refuse(path, 'is a prepared folder: 1 is foreground, 255 is ignored')
    folder = PreparedFolder.open(path, needed=('id',), finished=False)
    masks = {i.id: folder.mask_path(i.id, original=True) for i in folder.images}
    refuse_missing(path, [name for name, file in masks.items() if not file.is_file()])
    images = {image.id: folder.image_path(image.id) for image in folder.images}
    return MaskSource(
        path=path,
        table=known_columns(_table_of(folder), folder.table_path),
        masks=masks,
        images={name: file for name, file in images.items() if file.is_file()},
        labels=PREPARED,
    )


def _table_of(folder: PreparedFolder) -> pd.DataFrame:
    """Return the images of a prepared folder by id, without folds if it has none."""
    rows = [
        dict(
            organ=image.organ,
            data_source=image.data_source,
            pixel_size=image.pixel_size,
            **dict(zip(SIZES, image.shape or (None, None), strict=True)),
            **(dict(fold=image.fold) if folder.folds else {}),
        )
        for image in folder.images
    ]
    ids = [image.id for image in folder.images]
    return pd.DataFrame(rows, index=pd.Index(ids, name='id'))


def _open_folder(path: Path, labels: Labels) -> MaskSource:
    """Open a plain folder of masks; images may lie in ``images`` beside it."""
    masks = files_by_id(path)
    if not masks:
        there = [name for name in (MASKS, ORIGINAL_MASKS) if (path / name).is_dir()]
        raise ValueError(
            f'{path}: holds neither masks (.png, .tif, .bmp) nor one of '
            f'{", ".join(LAYOUTS)}; '
            + (f'give {path / there[0]}' if there else 'give the folder of the masks')
        )
    sizes = [read_size(file) for file in masks.values()]
    table = pd.DataFrame(sizes, index=pd.Index(masks, name='id'), columns=list(SIZES))
    return MaskSource(
        path=path,
        table=known_columns(table, path),
        masks=masks,
        images=files_by_id(path.parent / 'images') if path.name == 'masks' else {},
        labels=labels,
    )


def _open_csv(path: Path) -> MaskSource:
    """Open run lengths: train.csv of the competition, or a submission."""
    table = read_by_id(path)
    images = files_by_id(path.parent / f'{path.name.partition(".")[0]}_images')
    runs = run_lengths(path, table)
    return MaskSource(
        path=path, table=known_columns(table, path), runs=runs, images=images
    )


LAYOUTS: dict[str, Callable[[Path, Labels], MaskSource]] = {
    'predictions.csv': _open_prediction,
    'dice_per_image.csv': _open_test_result,
    TABLE: _open_prepared,
}
