import pytest
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner

from mmseg_ftu.datasets import AtLeastTwoBatchSampler, EpochSeededSampler, HuBMAPDataset

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


@pytest.fixture
def dataset(make_prepared):
    return lambda n: HuBMAPDataset(make_prepared(n=n), split='all', pipeline=PIPELINE)


@pytest.mark.parametrize(
    ('images', 'batch_size', 'sizes'),
    [
        (9, 4, [4, 4, 2]),
        (10, 4, [4, 4, 2]),
        (8, 4, [4, 4]),
        (5, 2, [2, 2, 2]),
        (3, 1, [1, 1, 1]),  # as asked for
        (1, 4, [1]),  # nothing to put beside it
    ],
)
def test_sizes_of_batches(dataset, images, batch_size, sizes):
    sampler = EpochSeededSampler(dataset(images), seed=0)
    batches = AtLeastTwoBatchSampler(sampler, batch_size)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        there = list(batches)
        assert [len(batch) for batch in there] == sizes
        assert len(batches) == len(sizes)
        assert {i for batch in there for i in batch} == set(range(images))


def test_the_second_image_is_another_one_with_another_seed(dataset):
    sampler = EpochSeededSampler(dataset(9), seed=0)
    *_, (alone, again) = batches = list(AtLeastTwoBatchSampler(sampler, 4))
    first = batches[0][0]
    assert again == first != alone
    assert again.key != first.key
    assert len({i.key for batch in batches for i in batch}) == 10


def test_other_samplers_and_drop_last(dataset):
    sampler = DefaultSampler(dataset(9), shuffle=False)
    assert list(AtLeastTwoBatchSampler(sampler, 4))[-1] == [8, 0]
    assert list(AtLeastTwoBatchSampler(sampler, 4, drop_last=True))[-1] == [4, 5, 6, 7]


@pytest.mark.parametrize('world_size', [2, 3, 4])
def test_every_process_has_two(dataset, monkeypatch, world_size):
    data, seen, lengths = dataset(9), set(), set()
    for rank in range(world_size):
        monkeypatch.setattr(
            'mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, world_size)
        )
        batches = AtLeastTwoBatchSampler(EpochSeededSampler(data, seed=0), 2)
        assert all(len(batch) == 2 for batch in batches)
        seen |= {i for batch in batches for i in batch}
        lengths.add(len(batches))
    assert seen == set(range(9))
    assert len(lengths) == 1


def test_runner_builds_it_and_tells_the_epoch(dataset):
    loader = Runner.build_dataloader(
        dict(
            batch_size=4,
            num_workers=2,
            persistent_workers=True,
            sampler=dict(type='EpochSeededSampler'),
            batch_sampler=dict(type='AtLeastTwoBatchSampler'),
            dataset=dataset(9),
            num_batch_per_epoch=None,
        ),
        seed=1,
    )
    assert [len(batch['img']) for batch in loader] == [4, 4, 2]
    assert loader.batch_sampler.sampler.seed == 1
    loader._iterator._shutdown_workers()
