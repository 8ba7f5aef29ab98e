"""Dataset of the images and masks of a prepared folder.

``tools/prepare_hubmap.py`` and ``tools/prepare_pairs.py`` write such folders;
``mmseg_ftu.prepared_folder`` describes them.
"""

import statistics
from functools import partial
from typing import Any, Literal

from mmengine.fileio import exists, get
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from mmseg_ftu.datasets.same_shape_batch_sampler import shape_after
from mmseg_ftu.datasets.seeding import SeededPipelineMixin
from mmseg_ftu.datasets.transforms.stain import StainNormalize
from mmseg_ftu.io.resizing import target_shape
from mmseg_ftu.prepared_folder import (
    IMAGES,
    MASKS,
    ORIGINAL_MASKS,
    SUFFIX,
    TABLE,
    PreparedFolder,
)
from mmseg_ftu.prepared_table import PreparedImage, parse_fold
from mmseg_ftu.recipe import Recipe, name_stains

MASK_DIRS = {'training': MASKS, 'original': ORIGINAL_MASKS}
SPLITS = ('train', 'val', 'all')


@DATASETS.register_module()
class HuBMAPDataset(SeededPipelineMixin, BaseSegDataset):
    """Serve one fold of a prepared folder.

    Every sample carries ``img_id``, ``organ``, ``data_source``, ``pixel_size`` (um/px
    of the original image, None where unknown), ``original_shape`` (h, w) and
    ``input_shape`` (h, w), as the pipeline hands it on if nothing in it is random.
    ``metainfo['stain']`` names the folder's and the pipeline's stain normalisation.
    ``preparation`` is the `Recipe` of the images, after ``full_init``. It is not in
    ``metainfo``, since folders that differ in it may well be concatenated. For the same
    reason ``folds_id`` and ``image_ids`` (the id of each image by its key, see
    ``mmseg_ftu.prepared_table``) are attributes.

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
        ValueError: If the folder is not prepared, a file or column is missing, a value
            cannot be read, the fold does not exist, or no image is left.
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
        ann_file: str = TABLE,
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
        self.resolution = resolution
        self._table = ann_file
        super().__init__(
            data_root=str(data_root),
            ann_file=ann_file,
            data_prefix=dict(img_path=IMAGES, seg_map_path=MASK_DIRS[resolution]),
            img_suffix=SUFFIX,
            seg_map_suffix=SUFFIX,
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the table and return one dict for each image of the split."""
        folder = PreparedFolder.open(
            self.data_root, table=self._table, read=self._read_bytes
        )
        self._metainfo['stain'] = self._stain(folder)
        self.folds_id = folder.folds_id
        images = self._select(folder)
        self.preparation = _preparation(folder, images)
        self.image_ids = {image.key: image.id for image in images}
        folder.require_files(
            images,
            original=self.resolution == 'original',
            exists=partial(exists, backend_args=self.backend_args),
        )
        return [self._data_info(folder, image) for image in images]

    def _read_bytes(self, path: str) -> bytes | None:
        if not exists(path, backend_args=self.backend_args):
            return None
        content: bytes = get(path, backend_args=self.backend_args)
        return content

    def _stain(self, folder: PreparedFolder) -> str:
        """Name the stain normalisation of the folder and the pipeline.

        It goes with ``metainfo`` into checkpoints, where ``KeepPreparationHook`` reads
        it.
        """
        online = [
            transform.normalizer
            for transform in self.pipeline.transforms
            if isinstance(transform, StainNormalize)
        ]
        return name_stains(folder.stain, online)

    def _select(self, folder: PreparedFolder) -> list[PreparedImage]:
        """Keep the images of the split and the organs."""
        folds = set(folder.folds.values())
        if self.split != 'all' and self.fold not in folds:
            raise ValueError(
                f'fold={self.fold} is not in {folder.table_path}, which has the folds '
                f'{sorted(folds)} (configs take it from the environment variable FOLD)'
            )
        present = sorted({image.organ for image in folder.images})
        unknown = sorted(set(self.organs or ()) - set(present))
        if unknown:
            raise ValueError(
                f'organs={unknown} are not in {folder.table_path}, which has {present}'
            )
        kept = [
            image
            for image in folder.images
            if self.split == 'all' or (image.fold == self.fold) == (self.split == 'val')
            if self.organs is None or image.organ in self.organs
        ]
        if not kept:
            raise ValueError(
                f'no image is left in {folder.table_path} for split={self.split!r}, '
                f'fold={self.fold}, organs={self.organs}'
            )
        return kept

    def _data_info(
        self, folder: PreparedFolder, image: PreparedImage
    ) -> dict[str, Any]:
        original = self.resolution == 'original'
        shape = target_shape(image.original_shape, folder.size)
        return dict(
            img_path=str(folder.image_path(image.id)),
            seg_map_path=str(folder.mask_path(image.id, original)),
            img_id=image.id,
            organ=image.organ,
            data_source=image.data_source,
            pixel_size=image.pixel_size,
            original_shape=image.original_shape,
            input_shape=shape_after(self.pipeline.transforms, shape),
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )


def _preparation(folder: PreparedFolder, images: list[PreparedImage]) -> Recipe:
    """Return what has to be done to a new image to resemble those of the folder.

    ``KeepPreparationHook`` writes it into checkpoints, where prediction finds it.
    """
    size = folder.size
    by_organ: dict[str, list[float]] = {}
    for image in images:
        if image.pixel_size is not None:
            scale = max(image.original_shape) / size if size else 1
            by_organ.setdefault(image.organ, []).append(image.pixel_size * scale)
    pixel_sizes = [value for found in by_organ.values() for value in found]
    return Recipe(
        size,
        pixel_size=statistics.median(pixel_sizes) if pixel_sizes else None,
        stain=folder.stain,
        pixel_size_by_organ={
            organ: statistics.median(found) for organ, found in sorted(by_organ.items())
        },
    )
