import pandas as pd
import pytest
from quick_and_slow import mostly_slow
from raw_data import write_pairs, write_source

from mmseg_ftu.datasets.hubmap import HuBMAPDataset
from mmseg_ftu.preparation.competition import prepare_hubmap
from mmseg_ftu.preparation.given_split import GivenSplit
from mmseg_ftu.preparation.pairs import prepare_pairs_of
from mmseg_ftu.preparation.records import PreparationError

NAMES = [f'tile {number}.v2' for number in range(6)]


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp('given') / 'tissue')


def with_table(source, **columns):
    table = pd.DataFrame({'id': NAMES, **columns})
    table.to_csv(source / 'index.csv', index=False)
    return source


def prepare(source, target, **options):
    defaults = dict(organ='colon', workers=0, index='index.csv')
    prepare_pairs_of(source, target, **(defaults | options))
    table = pd.read_csv(target / 'folds.csv')
    return dict(zip(table['id'], table['fold'], strict=True))


@pytest.mark.parametrize(
    ('cells', 'folds'),
    [
        ([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2]),
        (['0.0', '3.0', '0', '3', '3', '3'], [0, 3, 0, 3, 3, 3]),
        (['train', 'Val', 'train', 'valid', 'Training', 'validation'],
         [1, 0, 1, 0, 1, 0]),
    ],
)  # fmt: skip
def test_a_column_of_the_table(source, tmp_path, cells, folds):
    with_table(source, part=cells)
    found = prepare(source, tmp_path / 'out', fold_column='part')
    assert found == dict(zip(NAMES, folds, strict=True))


@pytest.mark.parametrize('kind', mostly_slow(['ids', 'text', 'csv'], ['csv']))
def test_a_list_of_the_validation_set(source, tmp_path, kind):
    ids = NAMES[1:3]
    (tmp_path / 'val.txt').write_text('\n'.join(ids) + '\n\n')
    pd.DataFrame({'x': 1, 'id': ids}).to_csv(tmp_path / 'val.csv', index=False)
    given = {
        'ids': ids,
        'text': [str(tmp_path / 'val.txt')],
        'csv': [str(tmp_path / 'val.csv')],
    }[kind]
    folds = prepare(source, tmp_path / 'out', index='', val_ids=given)
    assert [name for name, fold in folds.items() if fold == 0] == ids
    assert sorted(folds.values()) == [0, 0, 1, 1, 1, 1]
    options = dict(data_root=str(tmp_path / 'out'), fold=0, pipeline=[])
    assert [x['img_id'] for x in HuBMAPDataset(split='val', **options)] == ids
    assert len(HuBMAPDataset(split='train', **options)) == 4
    assert len(HuBMAPDataset(split='all', **options)) == 6


@pytest.mark.parametrize(
    ('columns', 'options', 'message'),
    [
        (dict(part=[0, 1, 'x', 1, 0, -1]), dict(fold_column='part'),
         r"(?s)image 'tile 2\.v2': part is 'x'; give a fold.*tile 5.*'-1'"),
        (dict(part=['train', 'val', 'test', 'val', 'val', 'val']),
         dict(fold_column='part'), "part is 'test'; .* leave out the images of a test"),
        (dict(part=[1] * 6), dict(fold_column='part'), 'all 6 images into fold 1'),
        (dict(part=[0, 1] * 3, who=['a', 'a', 'b', 'c', 'b', 'c']),
         dict(fold_column='part', group_column='who'), 'tears groups apart, .*: a;'),
        ({}, dict(fold_column='part'), 'lacks the columns part'),
        ({}, dict(fold_column='part', index=''), 'need a table: pass --index'),
        ({}, dict(val_ids=['tile 0.v2', 'tile 9']), 'there is no tile 9; mend'),
        ({}, dict(fold_column='id', val_ids=['a']), 'give one of them'),
        ({}, dict(val_ids=NAMES), 'all 6 images into fold 0'),
    ],
)  # fmt: skip
def test_what_is_refused(source, tmp_path, columns, options, message):
    with_table(source, **columns)
    with pytest.raises(PreparationError, match=message):
        prepare(source, tmp_path / 'out', **options)
    assert not (tmp_path / 'out').exists()


def test_groups_that_stay_together(source, tmp_path):
    with_table(source, part=[0, 0, 1, 1, 1, 0], who=['a', 'a', 'b', 'b', '', ''])
    folds = prepare(source, tmp_path / 'o', fold_column='part', group_column='who')
    assert list(folds.values()) == [0, 0, 1, 1, 1, 0]


def test_another_split_is_another_setting(source, tmp_path):
    out = tmp_path / 'out'
    prepare(source, out, index='', val_ids=NAMES[:1])
    with pytest.raises(PreparationError, match=r"val_ids '1 ids, \w+' \(now '2 ids"):
        prepare(source, out, index='', val_ids=NAMES[:2])
    before = (out / 'images' / f'{NAMES[0]}.png').stat().st_mtime_ns
    folds = prepare(source, out, index='', val_ids=NAMES[:2], overwrite=True)
    assert list(folds.values()) == [0, 0, 1, 1, 1, 1]
    assert (out / 'images' / f'{NAMES[0]}.png').stat().st_mtime_ns == before


def test_the_competition(tmp_path):
    source = write_source(tmp_path / 'raw')
    frame = pd.read_csv(source / 'train.csv', dtype=str)
    frame['part'] = ['train', 'val'] * 5
    frame.to_csv(source / 'train.csv', index=False)
    options = dict(size=30, workers=0)
    prepare_hubmap(source, tmp_path / 'a', split=GivenSplit('part'), **options)
    table = pd.read_csv(tmp_path / 'a' / 'folds.csv')
    assert table['fold'].tolist() == [1, 0] * 5
    split = GivenSplit.of(val_ids=['0003'])
    prepare_hubmap(source, tmp_path / 'b', split=split, **options)
    table = pd.read_csv(tmp_path / 'b' / 'folds.csv')
    assert table['fold'].tolist() == [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]
    with pytest.raises(PreparationError, match='lacks the columns other'):
        prepare_hubmap(source, tmp_path / 'c', split=GivenSplit('other'), **options)
