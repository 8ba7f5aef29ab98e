"""Dataset of images and masks prepared by ``tools/prepare_hubmap.py``.

The folder holds ``images/<id>.png``, ``masks/<id>.png`` (0 background, 1 unit, 255
ignored), ``masks_original/<id>.png`` at the size of the original image, ``folds.csv``
with one row an image, and ``manifest.json``, which is written last.
"""

import csv
import json
import statistics
from pathlib import Path
from typing import Any, Literal

from mmengine.fileio import exists, get_text
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_ftu.datasets.fold_record import folds_id, image_key, parse_fold
from mmseg_ftu.datasets.same_shape_batch_sampler import shape_after
from mmseg_ftu.datasets.seeding import SeededPipelineMixin
from mmseg_ftu.datasets.transforms.stain import StainNormalize
from mmseg_ftu.io.resizing import target_shape
from mmseg_ftu.stain import stain_id

MASK_DIRS = {'training': 'masks', 'original': 'masks_original'}
SPLITS = ('train', 'val', 'all')
COLUMNS = ('id', 'organ', 'data_source', 'img_height', 'img_width', 'pixel_size')
PREPARE = (
    'Prepare it with `python tools/prepare_hubmap.py SRC {root}` (the competition) or '
    '`python tools/prepare_pairs.py` (your own images and masks).'
)


def refuse_unprepared(
    data_root: str, table: str | None = None, backend_args: dict | None = None
) -> None:
    """Raise where a folder lacks its table or its manifest.

    Args:
        data_root: The folder.
        table: Path of its table; None is ``folds.csv`` in it.
        backend_args: How mmengine reads it.

    Raises:
        ValueError: If one of the two is missing.
    """
    root = Path(data_root)
    for path in (table or str(root / 'folds.csv'), str(root / 'manifest.json')):
        if not exists(path, backend_args=backend_args):
            raise ValueError(
                f'data_root={data_root!r} is not a (completely) prepared folder: '
                f'{path} is missing. ' + PREPARE.format(root=data_root)
            )


@DATASETS.register_module()
class HuBMAPDataset(SeededPipelineMixin, BaseSegDataset):
    """Serve one fold of a prepared folder.

    Every sample carries ``img_id``, ``organ``, ``data_source``, ``pixel_size`` (um/px
    of the original image, None where unknown), ``original_shape`` (h, w) and
    ``input_shape`` (h, w), as the pipeline hands it on if nothing in it is random.
    ``metainfo['stain']`` names the folder's and the pipeline's stain normalisation.
    ``preparation`` holds ``size`` (longer side, px), ``pixel_size`` (um/px, median),
    ``pixel_size_by_organ`` (the median of each organ for which it is known) and
    ``stain`` (the manifest's entry), after ``full_init``. It is no part of
    ``metainfo``, since folders that differ in it may well be concatenated. For the same
    reason ``folds_id`` and ``image_ids``, of ``mmseg_ftu.datasets.fold_record``, are
    attributes.

    Args:
        data_root: The prepared folder.
        fold: The fold held out for validation, 0-based; a number or its digits, as a
            config gets them from the environment (``'{{$FOLD:0}}'``).
        split: ``'val'`` is the fold, ``'train'`` all others, ``'all'`` every image.
        resolution: Masks at ``'training'`` size (that of the image) or ``'original'``.
        organs: Keep these organs only. None: all.
        ann_file: Table of the images, relative to ``data_root``.
        **kwargs: Further arguments of ``mmseg.datasets.BaseSegDataset``.

    Raises:
        ValueError: If the folder isn't prepared, a file or column is missing, a value
            can't be read, the fold doesn't exist, or no image is left.
    """

    METAINFO = dict(
        classes=('background', 'ftu'),
        palette=[[0, 0, 0], [255, 200, 0]],
    )

    def __init__(
        self,
        data_root: str,
        fold: int | str = 0,
        split: Literal['train', 'val', 'all'] = 'train',
        resolution: Literal['training', 'original'] = 'training',
        organs: list[str] | None = None,
        ann_file: str = 'folds.csv',
        **kwargs: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'HuBMAPDataset: split={split!r} is none of {SPLITS}')
        if resolution not in MASK_DIRS:
            raise ValueError(
                f'HuBMAPDataset: resolution={resolution!r} is none of '
                f'{tuple(MASK_DIRS)}'
            )
        if not str(data_root).strip():
            raise ValueError(
                f'HuBMAPDataset: data_root={str(data_root)!r} names no folder (configs '
                'take it from the environment variable FTU_DATA: set it, or unset it '
                'for the default)'
            )
        self.fold = parse_fold(fold)
        self.split = split
        self.organs = organs
        super().__init__(
            data_root=str(data_root),
            ann_file=ann_file,
            data_prefix=dict(img_path='images', seg_map_path=MASK_DIRS[resolution]),
            img_suffix='.png',
            seg_map_suffix='.png',
            **kwargs,
        )

    def _settings(self) -> dict:
        """Return what the manifest says about how the folder was prepared."""
        path = str(Path(self.data_root) / 'manifest.json')
        text = get_text(path, backend_args=self.backend_args)
        return json.loads(text).get('settings', {})

    def _preparation(self, infos: list[dict]) -> dict:
        """Return what has to be done to a new image to resemble those of the folder.

        ``KeepPreparationHook`` writes it into checkpoints, where prediction finds it.
        """
        settings = self._settings()
        size = settings.get('size')
        by_organ: dict[str, list[float]] = {}
        for info in infos:
            if info['pixel_size'] is not None:
                scale = max(info['original_shape']) / size if size else 1
                found = by_organ.setdefault(info['organ'], [])
                found.append(info['pixel_size'] * scale)
        pixel_sizes = [value for found in by_organ.values() for value in found]
        return dict(
            size=size,
            pixel_size=statistics.median(pixel_sizes) if pixel_sizes else None,
            pixel_size_by_organ={
                organ: statistics.median(found)
                for organ, found in sorted(by_organ.items())
            },
            stain=settings.get('stain'),
        )

    def _stain(self) -> str:
        """Name the stain normalisation of the folder and the pipeline.

        It goes with ``metainfo`` into checkpoints, where ``CheckStainHook`` reads it.
        """
        stain = self._settings().get('stain')
        names = [f'{stain["id"]} {stain["order"]}'] if stain else []
        names += [
            f'{stain_id(transform.normalizer)} online'
            for transform in self.pipeline.transforms
            if isinstance(transform, StainNormalize)
        ]
        return ', '.join(names) or 'none'

    def load_data_list(self) -> list[dict]:
        """Read the table and return one dict for each image of the split."""
        refuse_unprepared(self.data_root, self.ann_file, self.backend_args)
        self._metainfo['stain'] = self._stain()
        rows = self._select(self._read_table())
        size = self._settings().get('size')
        infos = [self._data_info(line, row, size) for line, row in rows]
        self.preparation = self._preparation(infos)
        self.image_ids = {
            image_key(info['img_id'], info['original_shape'], info['data_source']): (
                info['img_id']
            )
            for info in infos
        }
        missing = [
            f'{info["img_id"]} ({info[key]})'
            for info in infos
            for key in ('img_path', 'seg_map_path')
            if not exists(info[key], backend_args=self.backend_args)
        ]
        if missing:
            shown = '\n  '.join(missing[:10])
            more = f'\n  and {len(missing) - 10} more' if len(missing) > 10 else ''
            raise ValueError(
                f'{self.ann_file}: {len(missing)} files are missing:\n  {shown}{more}\n'
                + PREPARE.format(root=self.data_root)
            )
        return infos

    def _read_table(self) -> list[tuple[int, dict[str, str]]]:
        """Read all rows, each with its line number (1-based, the header is 1)."""
        text = get_text(self.ann_file, backend_args=self.backend_args)
        reader = csv.DictReader(text.splitlines())
        lacking = sorted({*COLUMNS, 'fold'} - set(reader.fieldnames or ()))
        if lacking:
            raise ValueError(f'{self.ann_file}: columns are missing: {lacking}')
        return [(reader.line_num, row) for row in reader]

    def _select(
        self, rows: list[tuple[int, dict[str, str]]]
    ) -> list[tuple[int, dict[str, str]]]:
        """Keep the rows of the split and the organs."""
        folds = {line: self._number(int, line, row, 'fold') for line, row in rows}
        self.folds_id = folds_id({row['id']: folds[line] for line, row in rows})
        if self.split != 'all' and self.fold not in folds.values():
            raise ValueError(
                f'fold={self.fold} is not in {self.ann_file}, which has the folds '
                f'{sorted(set(folds.values()))} (configs take it from the environment '
                'variable FOLD)'
            )
        present = sorted({row['organ'] for _, row in rows})
        unknown = sorted(set(self.organs or ()) - set(present))
        if unknown:
            raise ValueError(
                f'organs={unknown} are not in {self.ann_file}, which has {present}'
            )
        kept = [
            (line, row)
            for line, row in rows
            if self.split == 'all'
            or (folds[line] == self.fold) == (self.split == 'val')
            if self.organs is None or row['organ'] in self.organs
        ]
        if not kept:
            raise ValueError(
                f'no image is left in {self.ann_file} for split={self.split!r}, '
                f'fold={self.fold}, organs={self.organs}'
            )
        return kept

    def _data_info(self, line: int, row: dict[str, str], size: int | None) -> dict:
        name, pixel_size = row['id'], row['pixel_size']
        shape = (
            self._number(int, line, row, 'img_height'),
            self._number(int, line, row, 'img_width'),
        )
        return dict(
            img_path=f'{self.data_prefix["img_path"]}/{name}{self.img_suffix}',
            seg_map_path=(
                f'{self.data_prefix["seg_map_path"]}/{name}{self.seg_map_suffix}'
            ),
            img_id=name,
            organ=row['organ'],
            data_source=row['data_source'],
            pixel_size=(
                self._number(float, line, row, 'pixel_size') if pixel_size else None
            ),
            original_shape=shape,
            input_shape=shape_after(
                self.pipeline.transforms, target_shape(shape, size)
            ),
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )

    def _number(self, kind: type, line: int, row: dict[str, str], key: str) -> Any:
        try:
            return kind(row[key])
        except (TypeError, ValueError):
            raise ValueError(
                f'{self.ann_file}, line {line}, column {key}: {row[key]!r} is not '
                f'{"an integer" if kind is int else "a number"}'
            ) from None
