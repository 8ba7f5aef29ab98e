"""Training batches without a last one that holds a single image.

Batch norm cannot normalise one value a channel, which is all that is left of one image
after global pooling: DeepLabv3+ would end at the last batch of an epoch of 281 images
in batches of 4.
"""

from collections.abc import Iterator

from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler

from mmseg_ftu.datasets.seeding import SeededIndex


@DATA_SAMPLERS.register_module()
class AtLeastTwoBatchSampler(BatchSampler):
    """torch's ``BatchSampler``, but a last batch of one image gets a second one.

    That is the epoch's first image (of this process), augmented anew. So no image is
    left out, and an epoch has as many batches as before. ``batch_size=1`` is obeyed.

    Args:
        sampler: Sampler of the images.
        batch_size: Images in a batch, > 0.
        drop_last: Leave out the last batch if it is not full.
    """

    def __init__(
        self, sampler: Sampler[int], batch_size: int, drop_last: bool = False
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over the batches."""
        first = None
        for batch in super().__iter__():
            if first is None:
                first = batch[0]
            elif len(batch) == 1 < self.batch_size:
                batch = [*batch, _again(first)]
            yield batch


def _again(index: int) -> int:
    """Return the index with another seed, if it carries one."""
    if isinstance(index, SeededIndex):
        return SeededIndex(int(index), (*index.key, 1))
    return index
