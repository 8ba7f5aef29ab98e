import pytest
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmseg.datasets import BaseSegDataset
from quick_and_slow import mostly_slow
from shipped_run import CONFIGS, build, shipped_config

from mmseg_ftu.datasets import HuBMAPDataset, SameShapeBatchSampler


@pytest.mark.parametrize(
    ('shapes', 'batch_size', 'sizes'),
    [
        ([(96, 96)], 8, [3]),
        ([(96, 96), (48, 48)], 8, [6]),  # both are squares when prepared
        ([(96, 96), (48, 48)], 4, [4, 2]),
        ([(96, 96), (96, 72), (48, 36), (72, 96)], 4, [3, 4, 2, 3]),
        ([(96, 96), (96, 72)], 1, [1] * 6),
    ],
)
def test_batches_have_one_shape(make_prepared, shapes, batch_size, sizes):
    dataset = ConcatDataset(
        [
            HuBMAPDataset(
                make_prepared(n=3, original=shape, name=str(i)),
                split='all',
                pipeline=[dict(type='LoadImageFromFile')],
            )
            for i, shape in enumerate(shapes)
        ]
    )
    sampler = DefaultSampler(dataset, shuffle=False)
    batches = list(SameShapeBatchSampler(sampler, batch_size))
    assert [len(batch) for batch in batches] == sizes
    assert len(SameShapeBatchSampler(sampler, batch_size)) == len(sizes)
    assert [i for batch in batches for i in batch] == list(range(len(dataset)))
    for batch in batches:
        assert len({dataset[i]['img'].shape for i in batch}) == 1


LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
PIPELINES = {
    'as prepared': [],
    'ratio kept': [dict(type='Resize', scale=(48, 32), keep_ratio=True)],
    'ratio not kept': [dict(type='Resize', scale=(48, 32))],
    'by a factor': [dict(type='Resize', scale_factor=(0.5, 0.3))],
    'two': [
        dict(type='Resize', scale_factor=0.7),
        dict(type='Resize', scale=(31, 31), keep_ratio=True),
    ],
    'unknown': [dict(type='ResizeShortestEdge', scale=40, max_size=200)],
}


@pytest.mark.parametrize('pipeline', mostly_slow(PIPELINES, ['as prepared']))
def test_images_of_their_own_sizes(make_prepared, pipeline):
    """Of one aspect ratio and several sizes, as prepared without ``--size``."""
    shapes = [(96, 72), (64, 48), (64, 48), (37, 53), (96, 72)]
    dataset = ConcatDataset(
        [
            HuBMAPDataset(
                make_prepared(n=3, size=None, original=shape, name=str(i)),
                split='all',
                pipeline=LOAD + PIPELINES[pipeline],
            )
            for i, shape in enumerate(shapes)
        ]
    )
    batches = list(SameShapeBatchSampler(DefaultSampler(dataset, shuffle=False), 4))
    assert [i for batch in batches for i in batch] == list(range(15))
    assert max(len(batch) for batch in batches) == 4
    for batch in batches:
        assert len({dataset[i]['img'].shape for i in batch}) == 1
    if pipeline != 'unknown':
        for i in range(15):
            seen = dataset[i]['img'].shape[:2]
            assert dataset.get_data_info(i)['input_shape'] == seen
    if pipeline == 'ratio not kept':
        assert len(batches) == 4


@pytest.mark.slow
@pytest.mark.parametrize('tta', [False, True])
def test_the_shipped_configs_validate_and_test_such_images(
    make_prepared, tmp_path, tta
):
    roots = [
        make_prepared(n=2, size=None, original=shape, name=str(shape[0]))
        for shape in [(96, 72), (128, 96)]
    ]
    cfg = shipped_config(tmp_path, roots[0], workers=False)
    if tta:
        whole = Config.fromfile(CONFIGS / 'tissue' / 'coat_slim_daformer_switch.py')
        cfg.test_dataloader.dataset.pipeline = whole.tta_pipeline
        cfg.model = dict(whole.tta_model, module=cfg.model)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        parts = [dict(loader.dataset, data_root=str(r), split='all') for r in roots]
        loader.dataset = dict(type='ConcatDataset', datasets=parts)
        loader.batch_size = 4
    cfg.default_hooks.checkpoint = None
    runner = build(cfg)
    assert 0 <= runner.test()['Dice'] <= 1
    if not tta:
        assert 0 <= runner.val_loop.run()['Dice'] <= 1


def test_wrong_input_is_named(tmp_path, make_prepared):
    sampler = DefaultSampler(HuBMAPDataset(make_prepared(), split='all'))
    with pytest.raises(ValueError, match='batch_size=0 must be > 0'):
        SameShapeBatchSampler(sampler, 0)
    (tmp_path / 'a.jpg').touch()
    other = DefaultSampler(BaseSegDataset(data_root=str(tmp_path)))
    with pytest.raises(ValueError, match='BaseSegDataset have no input_shape'):
        list(SameShapeBatchSampler(other, 2))
