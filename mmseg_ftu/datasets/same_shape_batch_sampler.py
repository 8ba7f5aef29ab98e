"""Batches for validation on images that are not all of one shape.

mmseg cannot stack images of different shapes in validation, and padding them would
change the result.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mmcv.image import rescale_size
from mmcv.transforms import BaseTransform, LoadImageFromFile, Resize
from mmengine.dataset import DefaultSampler
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler

from mmseg_ftu.datasets.transforms.restore_original_shape import RestoreOriginalShape
from mmseg_ftu.datasets.transforms.stain import StainNormalize

KEEPS_SHAPE = (
    *(LoadImageFromFile, LoadAnnotations, PackSegInputs),
    *(RestoreOriginalShape, StainNormalize),
)


@DATA_SAMPLERS.register_module()
class SameShapeBatchSampler(BatchSampler):
    """Group consecutive indices into batches of one shape.

    The order of the sampler is kept, since the gathering of results over processes
    relies on it.

    Args:
        sampler: Sampler (not shuffling) over a dataset whose ``get_data_info`` has
            ``input_shape``, such as ``HuBMAPDataset``.
        batch_size: Largest number of images in a batch, > 0.

    Raises:
        ValueError: If the batch size is not positive or a sample has no shape.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(
                f'SameShapeBatchSampler: batch_size={batch_size} must be > 0'
            )
        super().__init__(sampler, batch_size, drop_last=False)
        self.dataset: Any = sampler.dataset

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over the batches."""
        batch: list[int] = []
        shape = None
        for index in self.sampler:
            new_shape = self._shape(index)
            if batch and (new_shape != shape or len(batch) == self.batch_size):
                yield batch
                batch = []
            shape = new_shape
            batch.append(index)
        if batch:
            yield batch

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _shape(self, index: int) -> tuple[int, int]:
        info = self.dataset.get_data_info(int(index))
        if 'input_shape' not in info:
            raise ValueError(
                'SameShapeBatchSampler: samples of '
                f'{type(self.dataset).__name__} have no '
                'input_shape; use HuBMAPDataset, or batch_sampler=None'
            )
        height, width = info['input_shape']
        return height, width


def shape_after(
    transforms: Sequence[BaseTransform], shape: tuple[int, int]
) -> tuple[int, int]:
    """Return the shape in which an image leaves a pipeline without randomness.

    Args:
        transforms: The pipeline. Only ``Resize`` and what keeps a shape are known. With
            another one the given shape is returned: images that enter in one shape
            leave in one shape, which is what matters for a batch.
        shape: Height and width in which it enters, px.
    """
    after = shape
    for transform in transforms:
        if isinstance(transform, Resize) and type(transform).__name__ == 'Resize':
            after = _resized(transform, after)
        elif not isinstance(transform, KEEPS_SHAPE):
            return shape
    return after


def _resized(resize: Resize, shape: tuple[int, int]) -> tuple[int, int]:
    """Return height and width after ``Resize``, which itself says (w, h)."""
    if resize.scale is None:
        scales = zip(shape, resize.scale_factor[::-1], strict=True)
        height, width = (int(side * scale + 0.5) for side, scale in scales)
    elif not resize.keep_ratio:
        width, height = resize.scale
    else:
        width, height = rescale_size(shape[::-1], tuple(resize.scale))
    return height, width
