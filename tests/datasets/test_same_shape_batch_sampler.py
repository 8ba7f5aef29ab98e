import pytest
from mmengine.dataset import ConcatDataset, DefaultSampler
from mmseg.datasets import BaseSegDataset

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


def test_wrong_input_is_named(tmp_path, make_prepared):
    sampler = DefaultSampler(HuBMAPDataset(make_prepared(), split='all'))
    with pytest.raises(ValueError, match='batch_size=0 must be > 0'):
        SameShapeBatchSampler(sampler, 0)
    (tmp_path / 'a.jpg').touch()
    other = DefaultSampler(BaseSegDataset(data_root=str(tmp_path)))
    with pytest.raises(ValueError, match='BaseSegDataset have no original_shape'):
        list(SameShapeBatchSampler(other, 2))
