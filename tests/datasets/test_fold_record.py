"""What a checkpoint tells about its fold."""

import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.datasets.fold_record import (
    fold_record,
    image_ids,
    trained_on,
    training_in_words,
)
from mmseg_ftu.prepared_table import folds_id


@pytest.mark.parametrize('split', ['train', 'all'])
def test_record_of_a_folder(make_prepared, split):
    dataset = HuBMAPDataset(make_prepared(), fold=2, split=split)
    record = fold_record(RepeatDataset(dataset, 2))
    assert record['fold'] == (2 if split == 'train' else None)
    assert record['folds_id'] == folds_id({str(100 + i): i % 5 for i in range(10)})
    assert len(record['train_images']) == len(dataset)
    assert record == fold_record(dataset)


def test_folders_and_splits_that_have_no_common_fold(make_prepared):
    roots = [make_prepared(name=str(h), original=(h, 96)) for h in (96, 90)]
    parts = [HuBMAPDataset(root) for root in roots]
    one = fold_record(ConcatDataset(parts))
    assert (one['fold'], len(one['train_images'])) == (0, 16)  # same ids and folds
    other = fold_record(ConcatDataset([parts[0], HuBMAPDataset(roots[1], fold=1)]))
    assert set(other) == {'train_images'}
    assert set(fold_record(HuBMAPDataset(roots[0], split='val'))) == {'train_images'}
    assert fold_record(object()) == {}


def test_images_that_were_trained_on(make_prepared):
    root = make_prepared()
    meta = fold_record(HuBMAPDataset(root, fold=0))
    assert trained_on(meta, image_ids(HuBMAPDataset(root, fold=0, split='val'))) == []
    val = image_ids(HuBMAPDataset(root, fold=3, split='val'))
    assert trained_on(meta, val) == ['103', '108']
    assert trained_on({}, val) is None


def test_records_in_words():
    record = dict(fold=0, folds_id='abc', train_images=['x', 'y'])
    assert training_in_words(record) == 'the 2 images outside fold 0 of the split abc'
    assert (
        training_in_words({**record, 'fold': None}) == 'all 2 images of the split abc'
    )
    assert training_in_words(dict(train_images=['x'])) == '1 images'


@pytest.mark.parametrize('names', [5, 'a', None, [1]])
def test_names_of_images_that_are_none(names):
    with pytest.raises(ValueError, match=r'train_images=.* is not a list of names'):
        trained_on(dict(train_images=names), {'a': 'a'})
