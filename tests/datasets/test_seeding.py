import copy
import pickle
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
    default_collate,
    pseudo_collate,
)
from mmengine.hooks import DistSamplerSeedHook
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS
from torch.utils.data import DataLoader, Subset

from mmseg_ftu.datasets import EpochSeededSampler, HuBMAPDataset
from mmseg_ftu.datasets.seeding import SeededIndex, seeded_globals


@TRANSFORMS.register_module()
class DrawEverywhere(BaseTransform):
    """Return what a transform can draw from the three sources of randomness."""

    def transform(self, results):
        own = results['rng'].random() if 'rng' in results else -1.0
        return dict(
            sample=int(results['img_id']),
            own=own,
            python=random.random(),
            legacy=np.random.random(),
            rng=results.get('rng'),
        )


def build(root, **options):
    options = dict(split='all', pipeline=[dict(type='DrawEverywhere')]) | options
    return HuBMAPDataset(root, **options)


def run_epochs(dataset, epochs, seed=7, **loader):
    """Return one dict a given epoch: image id -> draws, through a real DataLoader."""
    sampler = EpochSeededSampler(dataset, seed=seed)
    loader = DataLoader(
        dataset, batch_size=3, sampler=sampler, collate_fn=default_collate, **loader
    )
    drawn = []
    for epoch in epochs:
        sampler.set_epoch(epoch)
        drawn.append({})
        for batch in loader:
            rows = zip(
                *(batch[key].tolist() for key in ('sample', 'own', 'python', 'legacy')),
                strict=True,
            )
            drawn[-1].update({sample: draws for sample, *draws in rows})
    return drawn


@pytest.fixture
def reference(make_prepared):
    root = make_prepared(n=8)
    return root, run_epochs(build(root), epochs=(0, 1, 2), num_workers=0)


def test_epochs_and_samples_differ(reference):
    _, epochs = reference
    assert [sorted(e) for e in epochs] == [list(range(100, 108))] * 3
    draws = np.array([[e[i] for i in range(100, 108)] for e in epochs])
    assert draws.shape == (3, 8, 3)
    assert (draws >= 0).all()
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize(
    'options',
    [
        dict(num_workers=0),
        dict(num_workers=1, persistent_workers=False),
        dict(num_workers=2, persistent_workers=False),
        dict(num_workers=2, persistent_workers=True),
    ],
)
def test_draws_do_not_depend_on_the_workers(reference, options):
    root, expected = reference
    assert run_epochs(build(root), epochs=(0, 1, 2), **options) == expected


@pytest.mark.slow
def test_spawned_workers_draw_the_same(make_prepared):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='StrictAlbu', transforms=[dict(type='GaussNoise', p=1.0)]),
        dict(type='PackSegInputs'),
    ]
    dataset = build(make_prepared(n=4), pipeline=pipeline)
    sampler = EpochSeededSampler(dataset, shuffle=False, seed=7)
    sampler.set_epoch(3)
    loader = DataLoader(
        dataset,
        sampler=sampler,
        num_workers=1,
        multiprocessing_context='spawn',
        collate_fn=pseudo_collate,
    )
    spawned = [batch['inputs'][0] for batch in loader]
    assert len(spawned) == 4
    for image, index in zip(spawned, sampler, strict=True):
        assert torch.equal(image, dataset[index]['inputs'])


def test_resume_continues_with_the_same_draws(reference):
    root, expected = reference
    assert run_epochs(build(root), epochs=(2,), num_workers=2) == expected[2:]


def test_mmengine_hook_announces_the_epoch(reference):
    root, expected = reference
    dataset = build(root)
    loader = DataLoader(dataset, sampler=EpochSeededSampler(dataset, seed=7))
    loop = SimpleNamespace(dataloader=loader)
    DistSamplerSeedHook().before_train_epoch(SimpleNamespace(train_loop=loop, epoch=2))
    for index in loader.sampler:
        draws = dataset[index]
        assert draws['own'] == expected[2][draws['sample']][0]


def test_seed_changes_the_draws(reference):
    root, expected = reference
    assert run_epochs(build(root), epochs=(0,), seed=8)[0][100] != expected[0][100]


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_agree_with_a_single_process(reference, monkeypatch, world_size):
    root, expected = reference
    dataset, gathered = build(root), {}
    for rank in range(world_size):
        monkeypatch.setattr(
            'mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, world_size)
        )
        sampler = EpochSeededSampler(dataset, seed=7)
        sampler.set_epoch(1)
        assert len(list(sampler)) == len(sampler) == -(-8 // world_size)
        for index in sampler:
            draws = dataset[index]
            gathered[draws['sample']] = [draws[k] for k in ('own', 'python', 'legacy')]
    assert gathered == expected[1]


def test_global_randomness_is_left_alone(make_prepared):
    dataset = build(make_prepared())
    random.seed(1)
    np.random.seed(1)
    before = random.getstate(), np.random.get_state()
    dataset[next(iter(EpochSeededSampler(dataset, seed=3)))]
    after = random.getstate(), np.random.get_state()
    assert after[0] == before[0]
    np.testing.assert_array_equal(after[1][1], before[1][1])
    assert after[1][2:] == before[1][2:]


def test_globals_are_restored_after_an_error():
    random.seed(1)
    state = random.getstate()
    with (
        pytest.raises(ZeroDivisionError),
        seeded_globals(np.random.default_rng(0)),
    ):
        _ = random.random() / 0
    assert random.getstate() == state


def test_plain_index_uses_the_global_randomness(make_prepared):
    dataset = build(make_prepared())
    random.seed(5)
    expected = random.random()
    random.seed(5)
    sample = dataset[0]
    assert sample['own'] == -1.0
    assert sample['python'] == expected


def test_generator_does_not_leave_the_dataset(make_prepared):
    dataset = build(make_prepared())
    assert 'rng' not in dataset[next(iter(EpochSeededSampler(dataset, seed=3)))]


def test_repetitions_within_an_epoch_differ(make_prepared):
    dataset = RepeatDataset(build(make_prepared(n=4)), times=3)
    draws = [dataset[index] for index in EpochSeededSampler(dataset, seed=0)]
    assert sorted(d['sample'] for d in draws) == sorted([100, 101, 102, 103] * 3)
    assert len({d['own'] for d in draws}) == 12


def test_concatenated_datasets_are_seeded(make_prepared):
    root = make_prepared(n=4)
    dataset = ConcatDataset([build(root, organs=[o]) for o in ('kidney', 'lung')])
    runs = [
        run_epochs(dataset, epochs=(0, 1), num_workers=workers) for workers in (0, 2)
    ]
    assert runs[0] == runs[1]
    assert sorted(runs[0][0]) == [100, 101, 103]
    assert min(draws[0] for draws in runs[0][0].values()) >= 0


def test_index_keeps_its_key():
    index = SeededIndex(11, (1, 2, 11))
    for result, value in [
        (index, 11),
        (index - 4, 7),
        (index % 4, 3),
        ((index - np.int64(4)) % 5, 2),
        (pickle.loads(pickle.dumps(index)), 11),
        (copy.deepcopy(index), 11),
    ]:
        assert result == value
        assert result.key == (1, 2, 11)


@pytest.mark.parametrize('wrap', [Subset, ClassBalancedDataset, BaseSegDataset])
def test_dataset_that_drops_seeds_is_refused(make_prepared, wrap):
    inner = build(make_prepared())
    dataset = {
        Subset: lambda: Subset(inner, [0, 1]),
        ClassBalancedDataset: lambda: ClassBalancedDataset(
            inner, oversample_thr=1.0, lazy_init=True
        ),
        BaseSegDataset: lambda: BaseSegDataset(data_root='.', lazy_init=True),
    }[wrap]()
    with pytest.raises(ValueError, match=f'{wrap.__name__} does not pass the seed'):
        EpochSeededSampler(dataset, seed=0)


def test_negative_seed_is_refused(make_prepared):
    with pytest.raises(ValueError, match='seed must be >= 0, got -1'):
        EpochSeededSampler(build(make_prepared()), seed=-1)


def test_seed_none_is_drawn_once(make_prepared):
    sampler = EpochSeededSampler(build(make_prepared()), seed=None)
    assert isinstance(sampler.seed, int)
    assert [i.key for i in sampler] == [i.key for i in sampler]


@pytest.mark.parametrize('num_batch_per_epoch', [None, 2])
def test_runner_builds_and_feeds_the_sampler(make_prepared, num_batch_per_epoch):
    config = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='EpochSeededSampler'),
        dataset=build(make_prepared()),
        num_batch_per_epoch=num_batch_per_epoch,
    )
    loader = Runner.build_dataloader(config, seed=42)
    assert loader.sampler.seed == 42
    batches = list(loader)
    assert len(batches) == (num_batch_per_epoch or 5)
    assert min(batches[0]['own']) >= 0
