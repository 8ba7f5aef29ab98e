"""Batches for validation on images that aren't all square.

mmseg can't stack images of different shapes in validation, and padding them would
change the result.
"""

from collections.abc import Iterator
from fractions import Fraction

from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler


@DATA_SAMPLERS.register_module()
class SameShapeBatchSampler(BatchSampler):
    """Group consecutive indices into batches of one aspect ratio.

    Prepared images have the same longer side, so images of one aspect ratio have one
    shape. The order of the sampler is kept, since the gathering of results over
    processes relies on it.

    Args:
        sampler: Sampler (not shuffling) over a dataset whose ``get_data_info`` has
            ``original_shape``, such as ``HuBMAPDataset``.
        batch_size: Largest number of images in a batch, > 0.

    Raises:
        ValueError: If the batch size isn't positive or a sample has no shape.
    """

    def __init__(self, sampler: Sampler, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(
                f'SameShapeBatchSampler: batch_size={batch_size} must be > 0'
            )
        super().__init__(sampler, batch_size, drop_last=False)

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over the batches."""
        batch, ratio = [], None
        for index in self.sampler:
            new_ratio = self._aspect_ratio(index)
            if batch and (new_ratio != ratio or len(batch) == self.batch_size):
                yield batch
                batch = []
            ratio = new_ratio
            batch.append(index)
        if batch:
            yield batch

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _aspect_ratio(self, index: int) -> Fraction:
        dataset = self.sampler.dataset
        info = dataset.get_data_info(int(index))
        if 'original_shape' not in info:
            raise ValueError(
                f'SameShapeBatchSampler: samples of {type(dataset).__name__} have no '
                'original_shape; use HuBMAPDataset, or batch_sampler=None'
            )
        return Fraction(*info['original_shape'])
