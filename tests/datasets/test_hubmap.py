import cv2
import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.registry import DATASETS

from mmseg_ftu.datasets import HuBMAPDataset

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def ids(dataset):
    return [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]


def test_splits_partition_the_table(make_prepared):
    root = make_prepared(n=11, folds=5)
    everything = ids(HuBMAPDataset(root, split='all'))
    assert everything == [str(100 + i) for i in range(11)]
    held_out = []
    for fold in range(5):
        val = ids(HuBMAPDataset(root, fold=fold, split='val', serialize_data=False))
        train = ids(HuBMAPDataset(root, fold=fold, serialize_data=False))
        assert val == everything[fold::5]
        assert sorted(train + val) == everything
        held_out += val
    assert sorted(held_out) == everything


@pytest.mark.parametrize('fold', [1, '1', ' 1', np.int64(1)])
def test_fold_may_be_number_or_digits(make_prepared, fold):
    assert ids(HuBMAPDataset(make_prepared(), fold=fold, split='val')) == ['101', '106']


def test_data_info_has_metainfo_and_paths(make_prepared):
    root = make_prepared(original=(120, 96))
    infos = {
        resolution: [
            HuBMAPDataset(root, split='all', resolution=resolution).get_data_info(i)
            for i in (0, 1)
        ]
        for resolution in ('training', 'original')
    }
    first, second = infos['training']
    assert first == dict(
        img_path=f'{root}/images/100.png',
        seg_map_path=f'{root}/masks/100.png',
        img_id='100',
        organ='kidney',
        data_source='HPA',
        pixel_size=0.4,
        original_shape=(120, 96),
        input_shape=(64, 51),
        label_map=None,
        reduce_zero_label=False,
        seg_fields=[],
        sample_idx=0,
    )
    assert (second['data_source'], second['pixel_size']) == ('Hubmap', None)
    assert infos['original'][0]['seg_map_path'] == f'{root}/masks_original/100.png'


@pytest.mark.parametrize(
    ('resolution', 'shape'), [('training', (64, 51)), ('original', (120, 96))]
)
def test_masks_come_at_the_resolution_asked_for(make_prepared, resolution, shape):
    root = make_prepared(original=(120, 96))
    dataset = HuBMAPDataset(root, split='all', resolution=resolution, pipeline=LOAD)
    sample = dataset[3]
    assert sample['img'].shape == (64, 51, 3)
    assert sample['gt_seg_map'].shape == shape
    folder = 'masks' if resolution == 'training' else 'masks_original'
    on_disc = cv2.imread(str(root / folder / '103.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(sample['gt_seg_map'], on_disc)
    assert set(np.unique(on_disc)) == {0, 1}


@pytest.mark.parametrize('lazy_init', [False, True])
@pytest.mark.parametrize('serialize_data', [False, True])
def test_base_dataset_options_work(make_prepared, lazy_init, serialize_data):
    dataset = DATASETS.build(
        dict(
            type='HuBMAPDataset',
            data_root=str(make_prepared()),
            split='all',
            organs=['lung', 'spleen'],
            indices=[0, 2, 3],
            lazy_init=lazy_init,
            serialize_data=serialize_data,
            pipeline=LOAD,
        )
    )
    assert dataset.metainfo['classes'] == ('background', 'ftu')
    assert len(dataset.metainfo['palette']) == 2
    dataset.full_init()
    assert ids(dataset) == ['101', '104', '105']
    assert dataset[1]['organ'] == 'lung'


def test_dataset_wrappers_work(make_prepared):
    root = make_prepared()
    config = dict(type='HuBMAPDataset', data_root=str(root), split='val')
    concat = ConcatDataset([dict(config, fold=fold) for fold in (0, 1)])
    assert ids(concat) == ['100', '105', '101', '106']
    assert ids(RepeatDataset(config, times=2)) == ['100', '105', '100', '105']


def test_lazy_dataset_reads_nothing(tmp_path):
    dataset = HuBMAPDataset(tmp_path / 'absent', lazy_init=True)
    with pytest.raises(ValueError, match='absent'):
        dataset.full_init()


@pytest.mark.parametrize('data_root', ['', ' '])
def test_an_empty_data_root_names_the_variable(data_root):
    with pytest.raises(ValueError, match=r'names no folder .*FTU_DATA'):
        HuBMAPDataset(data_root)


def _drop_column(root):
    text = (root / 'folds.csv').read_text()
    (root / 'folds.csv').write_text(text.replace('organ', 'tissue', 1))


def _spoil(column, value, line=3):
    def spoil(root):
        lines = (root / 'folds.csv').read_text().splitlines()
        cells = lines[line - 1].split(',')
        cells[lines[0].split(',').index(column)] = value
        lines[line - 1] = ','.join(cells)
        (root / 'folds.csv').write_text('\n'.join(lines))

    return spoil


def _remove_images(root):
    for path in (root / 'images').iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ('spoil', 'options', 'message'),
    [
        (None, dict(split='test'), r"split='test' is none of .*'train', 'val', 'all'"),
        (None, dict(resolution='full'), "resolution='full' is none of"),
        (None, dict(fold='two'), r"fold='two' is not a whole number from 0.*FOLD"),
        (None, dict(fold=''), r"fold='' is not a whole number from 0.*FOLD"),
        (None, dict(fold=1.5), 'fold=1.5 is not a whole number'),
        (None, dict(fold='-1'), r"fold='-1' is not a whole number from 0.*FOLD"),
        (None, dict(fold=7), r'fold=7 is not in .*folds.csv.*\[0, 1, 2, 3, 4\].*FOLD'),
        (None, dict(organs=['heart']), r"organs=\['heart'\] .*'kidney', 'lung'"),
        (
            None,
            dict(organs=['kidney'], fold=1, split='val'),
            r"no image is left .*split='val', fold=1, organs=\['kidney'\]",
        ),
        (
            lambda root: (root / 'folds.csv').unlink(),
            {},
            r'folds.csv is missing.*prepare hubmap.*prepare pairs',
        ),
        (
            lambda root: (root / 'manifest.json').unlink(),
            {},
            r'not a \(completely\) prepared folder.*manifest.json is missing',
        ),
        (_drop_column, {}, r'folds.csv: columns are missing: organ; it has id, tissue'),
        (_spoil('fold', 'a'), {}, "row 2, id 101: fold is 'a'; give a whole number"),
        (_spoil('img_width', ''), {}, 'id 101: img_height x img_width is 96 x ; give'),
        (_spoil('pixel_size', 'x'), {}, "row 2, id 101: pixel_size is 'x'; give a po"),
        (
            lambda root: (root / 'masks' / '104.png').unlink(),
            dict(fold=4, split='val'),
            r'1 files are missing:\n  104 \(.*masks/104.png\)',
        ),
        (_remove_images, {}, r'(?s)8 files are missing:.*101 .*102 '),
        (_remove_images, dict(split='all'), r'(?s)10 files are missing:.*109 '),
    ],
)
def test_wrong_input_is_named(make_prepared, spoil, options, message):
    root = make_prepared(n=10, organs=('kidney', 'lung', 'lung', 'lung', 'spleen'))
    if spoil:
        spoil(root)
    with pytest.raises(ValueError, match=message):
        HuBMAPDataset(root, **options)


def test_missing_files_are_listed_up_to_ten(make_prepared):
    root = make_prepared(n=12)
    _remove_images(root)
    with pytest.raises(ValueError, match='12 files are missing') as caught:
        HuBMAPDataset(root, split='all')
    assert 'and 2 more' in str(caught.value)
    assert '109' in str(caught.value)
    assert '110' not in str(caught.value)


def test_missing_file_of_another_split_does_not_matter(make_prepared):
    root = make_prepared()
    (root / 'images' / '100.png').unlink()
    assert len(HuBMAPDataset(root, fold=1, split='val')) == 2


def test_pixel_sizes_of_the_organs_are_told_apart(make_prepared):
    """As after resizing: images of 96 px that were brought to 64."""
    root = make_prepared(n=9, folds=3)  # kidney, lung, spleen by turns
    lines = (root / 'folds.csv').read_text().splitlines()
    sizes = ['0.4', '0.7', '', '0.6', '0.9', '', '0.5', '1.1', '']
    column = lines[0].split(',').index('pixel_size')
    for i, size in enumerate(sizes, start=1):
        row = lines[i].split(',')
        row[column] = size
        lines[i] = ','.join(row)
    (root / 'folds.csv').write_text('\n'.join(lines) + '\n')
    about = HuBMAPDataset(str(root), split='all').preparation
    assert about.pixel_size == pytest.approx(0.65 * 96 / 64)
    expected = dict(kidney=0.5 * 96 / 64, lung=0.9 * 96 / 64)
    assert about.pixel_size_by_organ == pytest.approx(expected)
