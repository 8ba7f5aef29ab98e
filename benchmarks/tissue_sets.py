"""Small sets of real tissue, prepared with folds that keep patients together.

They lie in ``MMSEG_FTU_DATA`` (default ``../shared/data``); each has a ``SOURCE.txt``
with its origin and licence. To prepare one for a study::

    python benchmarks/tissue_sets.py "kidney regions" data/kidney
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from mmseg_ftu.preparation.pairs import prepare_pairs_of

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('MMSEG_FTU_DATA', ROOT.parent / 'shared' / 'data'))
LONGER_SIDE = 512  # px; what is larger is made smaller


@dataclass(frozen=True)
class Source:
    """A folder of images and masks.

    Attributes:
        folder: Its name in the data folder.
        organ: The tissue.
        group: Maps a row of its ``index.csv`` to what stays in one fold; None where
            nothing is known, so that each image is a group of its own.
        key: The column of names in ``index.csv``.
        label: The label of the mask that counts, None for all but 0.
    """

    folder: str
    organ: str
    group: Callable[[pd.Series], str] | None = None
    key: str = 'image'
    label: int | None = None


SETS = {
    'glas': Source('glas_bench', 'colon', lambda row: str(row.patient), 'name'),
    'kidney regions': Source(
        'kidney_glomeruli_he_pas_roi', 'kidney', lambda row: f'{row.I} {row.S}'
    ),
    'testis': Source(  # the epithelium is 0 in its masks, against its SOURCE.txt
        *('testis_seminiferous_tubules', 'testis', lambda row: row.animal_prefix),
        label=0,
    ),
    'kidney tiles': Source('kidney_glomeruli_pas', 'kidney'),
    'prostate glands': Source('prostate_rings', 'prostate', label=1),
}


@dataclass(frozen=True)
class TissueSet:
    """A prepared folder."""

    name: str
    prepared: Path

    @cached_property
    def table(self) -> pd.DataFrame:
        return pd.read_csv(self.prepared / 'folds.csv', dtype={'id': str}).set_index(
            'id'
        )

    def ids(self, fold: int, held_out: bool) -> list[str]:
        """Return the names of a fold, or of all others."""
        return self.table.index[(self.table.fold == fold) == held_out].tolist()

    def group(self, name: str) -> str:
        return str(self.table.group[name])

    def image_path(self, name: str) -> Path:
        return self.prepared / 'images' / f'{name}.png'

    def read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return image (H, W, 3) RGB and mask (H, W) of 0 and 1."""
        image = cv2.imread(str(self.image_path(name)))
        mask = cv2.imread(str(self.prepared / 'masks' / f'{name}.png'), -1)
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask


def prepare(source: Source, folder: Path) -> TissueSet:
    """Prepare a set once in ``folder/prepared``; five folds, seed 0.

    Raises:
        FileNotFoundError: If the set is not there.
        ValueError: If another set was prepared in the folder.
    """
    name = next(name for name, other in SETS.items() if other == source)
    prepared = folder / 'prepared'
    if (prepared / 'folds.csv').is_file():
        there = pd.read_csv(prepared / 'folds.csv', dtype=str).data_source.iloc[0]
        if there != source.folder:
            raise ValueError(f'{prepared} holds {there}, not {source.folder}')
        return TissueSet(name, prepared)
    if not (DATA / source.folder).is_dir():
        raise FileNotFoundError(
            f'{DATA / source.folder}: there is no such set; MMSEG_FTU_DATA names the '
            'folder that holds it'
        )
    with tempfile.TemporaryDirectory() as temporary:
        raw = Path(temporary) / source.folder
        copy_raw(DATA / source.folder, raw, source)
        prepare_pairs_of(
            raw,
            prepared,
            size=size_of(raw),
            organ=source.organ,
            data_source=source.folder,
            index='index.csv',
            id_column='id',
            group_column='group',
            empty='keep',
        )
    return TissueSet(name, prepared)


def copy_raw(origin: Path, raw: Path, source: Source) -> None:
    """Copy images and masks, the masks as 0 and 1, with a table of groups."""
    for part in ('images', 'masks'):
        (raw / part).mkdir(parents=True)
    known = {}
    if source.group is not None:
        index = pd.read_csv(origin / 'index.csv')
        known = dict(
            zip(index[source.key], index.apply(source.group, axis=1), strict=True)
        )
    rows = []
    for image in sorted((origin / 'images').iterdir()):
        mask = cv2.imread(str(origin / 'masks' / f'{image.stem}.png'), -1)
        wanted = mask > 0 if source.label is None else mask == source.label
        if source.label is not None and not wanted.any():
            continue
        shutil.copy(image, raw / 'images')
        cv2.imwrite(str(raw / 'masks' / f'{image.stem}.png'), wanted.astype(np.uint8))
        rows.append(dict(id=image.stem, group=known.get(image.stem, image.stem)))
    pd.DataFrame(rows).to_csv(raw / 'index.csv', index=False)


def size_of(raw: Path) -> int | None:
    """Return the longer side to prepare at, None to leave images as they are."""
    sides = [max(cv2.imread(str(p)).shape[:2]) for p in (raw / 'images').iterdir()]
    return LONGER_SIDE if max(sides) > LONGER_SIDE else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description='Prepare a set of real tissue in FOLDER/prepared.'
    )
    parser.add_argument('set', choices=list(SETS))
    parser.add_argument('folder', type=Path)
    args = parser.parse_args()
    try:
        tissue = prepare(SETS[args.set], args.folder)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    print(tissue.table.groupby('fold').group.agg(images='size', groups='nunique'))


if __name__ == '__main__':
    main()
