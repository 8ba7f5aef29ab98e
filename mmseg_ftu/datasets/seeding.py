"""Augmentations that depend on (seed, epoch, index) and on nothing else.

mmengine seeds each loader worker once, so what a sample looks like depends on the
number of workers, changes on resume, and, where workers are not persistent, is the same
in every epoch. Here the sampler hands out indices that carry their own seed, and the
dataset seeds the randomness of one sample from it. The seed travels with the index, so
it reaches forked, spawned, persistent and fresh workers alike, and the ranks of a
distributed run agree on it because the index counts over the whole dataset.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.dataset import ConcatDataset, DefaultSampler, RepeatDataset
from mmseg.registry import DATA_SAMPLERS


class SeededIndex(int):
    """A dataset index that knows the seed of its sample.

    Dataset wrappers turn a global index into a local one by ``-`` (``ConcatDataset``)
    and ``%`` (``RepeatDataset``). Both keep the key of the global index, so that the
    repetitions of one image within an epoch differ.

    Args:
        index: Position in the dataset, >= 0.
        key: What seeds the sample: (seed, 0-based epoch, global index), all >= 0.
    """

    key: tuple[int, ...]

    def __new__(cls, index: int, key: tuple[int, ...]) -> 'SeededIndex':
        """Make an int and attach the key."""
        self = super().__new__(cls, index)
        self.key = key
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # loader workers get their indices pickled
        return type(self), (int(self), self.key)

    def __sub__(self, other: int) -> 'SeededIndex':
        return SeededIndex(int(self) - int(other), self.key)

    def __mod__(self, other: int) -> 'SeededIndex':
        return SeededIndex(int(self) % int(other), self.key)


@contextmanager
def seeded_globals(rng: np.random.Generator) -> Iterator[None]:
    """Seed Python's and numpy's global generators from ``rng``, and restore them.

    Transforms of mmcv and mmseg draw from these two; nothing outside may notice.
    """
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(int(rng.integers(2**32)))
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


if TYPE_CHECKING:
    from mmengine.dataset import BaseDataset as Dataset
else:  # whatever dataset it is put before
    Dataset = object


class SeededPipelineMixin(Dataset):
    """Let a ``BaseSegDataset`` run its pipeline with the seed that an index carries.

    Put it before the dataset class in the list of bases. During the pipeline
    ``results['rng']`` is the sample's own ``numpy.random.Generator`` for transforms
    that take one, and the global generators are seeded for those that do not. A plain
    index (another sampler, or none) leaves the randomness as mmengine has it.
    """

    passes_seeds = True  # what EpochSeededSampler asks for

    def prepare_data(self, idx: int) -> Any:
        """Return sample ``idx`` after the pipeline."""
        if not isinstance(idx, SeededIndex):
            return super().prepare_data(idx)
        results = self.get_data_info(int(idx))
        rng = results['rng'] = np.random.default_rng(idx.key)
        with seeded_globals(rng):
            results = self.pipeline(results)
        if isinstance(results, dict):
            results.pop('rng', None)
        return results


@DATA_SAMPLERS.register_module()
class EpochSeededSampler(DefaultSampler):
    """``DefaultSampler`` whose indices carry the seed of their sample.

    mmengine's default hook ``DistSamplerSeedHook`` tells it the epoch before each
    training epoch, also after a resume. Set ``randomness=dict(seed=...)`` in the
    config: a seed that mmengine draws itself is another one in the resumed process.

    Args:
        dataset: A dataset with :class:`SeededPipelineMixin` (``HuBMAPDataset``), alone
            or inside ``ConcatDataset`` and ``RepeatDataset``.
        shuffle: Whether to shuffle in each epoch.
        seed: Seed of order and augmentations, >= 0; the same in all processes. None:
            drawn once and shared between the processes.
        round_up: Whether to repeat samples until all processes have equally many.

    Raises:
        ValueError: If the seed is negative, or if a dataset would drop the seeds.
    """

    def __init__(
        self,
        dataset: Any,
        shuffle: bool = True,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        if seed is not None and seed < 0:
            raise ValueError(f'EpochSeededSampler: seed must be >= 0, got {seed}')
        unfit = sorted({type(d).__name__ for d in _unwrap(dataset)})
        if unfit:
            raise ValueError(
                f'EpochSeededSampler: {", ".join(unfit)} does not pass the seed of an '
                'index on, so its augmentations would not be reproducible. Use '
                'HuBMAPDataset (or give your dataset the base class '
                'SeededPipelineMixin), alone or in ConcatDataset or RepeatDataset; for '
                'anything else take '
                "sampler=dict(type='DefaultSampler', shuffle=True)."
            )
        super().__init__(dataset, shuffle=shuffle, seed=seed, round_up=round_up)

    def __iter__(self) -> Iterator[int]:
        """Iterate over this process's indices of the current epoch."""
        key = (self.seed, self.epoch)
        return iter([SeededIndex(i, (*key, i)) for i in super().__iter__()])


def _unwrap(dataset: Any) -> list[Any]:
    """List the datasets inside ``dataset`` that would drop the seed of an index."""
    if isinstance(dataset, ConcatDataset):
        return [leaf for inner in dataset.datasets for leaf in _unwrap(inner)]
    if isinstance(dataset, RepeatDataset):
        return _unwrap(dataset.dataset)
    return [] if getattr(dataset, 'passes_seeds', False) else [dataset]
