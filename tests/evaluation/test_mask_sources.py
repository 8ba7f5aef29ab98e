"""Reading masks and predictions of every layout."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.masks import rle

MASK = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


def write_prediction(root, rows='a,/x/a.png,lung,HPA,0.4,2,3,done,\n'):
    for name in ('masks', 'probabilities'):
        (root / name).mkdir(parents=True)
    header = 'id,path,organ,data_source,pixel_size,height,width,status,reason\n'
    (root / 'predictions.csv').write_text(header + rows)
    (root / 'prediction.json').write_text(json.dumps({'layout': 1, 'views': ['h']}))
    cv2.imwrite(str(root / 'masks' / 'a.png'), MASK * 255)
    tifffile.imwrite(
        root / 'probabilities' / 'a.tif', MASK * 200, tile=(16, 16), compression='zlib'
    )
    return root


def test_prediction_folder(tmp_path):
    rows = 'a,/x/a.png,lung,HPA,0.4,2,3,done,\nb,/x/b.png,,,,,,failed,too dark\n'
    source = open_masks(write_prediction(tmp_path / 'p', rows))
    assert source.ids == ['a']
    assert source.absent == {'b': 'too dark'}
    assert source.mask('a').tolist() == MASK.tolist()
    assert source.probability('a').tolist() == (MASK * 200).tolist()
    assert str(source.image_path('a')) == '/x/a.png'
    assert source.settings['views'] == ['h']
    row = source.table.loc['a']
    assert list(row) == ['lung', 'HPA', 0.4, 2, 3]


def test_prediction_of_run_lengths_only(tmp_path):
    root = write_prediction(tmp_path / 'p')
    (root / 'masks' / 'a.png').unlink()
    (root / 'submission.csv').write_text(f'id,rle\na,{rle.encode(MASK)}\n')
    assert open_masks(root).mask('a').tolist() == MASK.tolist()


def test_result_of_test_py(tmp_path):
    (tmp_path / 'dice_per_image.csv').write_text(
        'img_id,organ,data_source,threshold,dice,val_loss_bce\n007,lung,,0.5,0.9,\n'
    )
    cv2.imwrite(str(tmp_path / '007.png'), MASK)
    source = open_masks(tmp_path)
    assert source.mask('007').tolist() == MASK.tolist()
    assert source.probability('007') is None
    assert source.image_path('007') is None
    row = source.table.loc['007']
    assert (row.organ, row.data_source, row.height, row.width) == ('lung', '', 2, 3)
    assert np.isnan(row.pixel_size)


def test_prepared_folder(make_prepared):
    root = make_prepared(n=4, size=32, original=(96, 80))
    ignored = np.zeros((96, 80), np.uint8)
    ignored[:2], ignored[2:4] = 255, 1
    cv2.imwrite(str(root / 'masks_original' / '101.png'), ignored)
    source = open_masks(root)
    assert source.ids == ['100', '101', '102', '103']
    assert np.array_equal(source.mask('101'), ignored)
    assert source.table.fold.tolist() == [0, 1, 2, 3]
    assert source.table.height.tolist() == [96] * 4
    assert source.table.pixel_size.notna().tolist() == [True, False, True, False]
    assert source.image_path('102') == root / 'images' / '102.png'


def test_folder_of_masks(tmp_path):
    for name in ('masks', 'images'):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / 'x.y.png'), MASK * 7)
    tifffile.imwrite(tmp_path / 'masks' / 'z.tif', MASK)
    source = open_masks(tmp_path / 'masks')
    assert source.ids == ['x.y', 'z']
    for name in source.ids:
        assert source.mask(name).tolist() == MASK.tolist()
    assert source.image_path('x.y') == tmp_path / 'images' / 'x.y.png'
    assert source.table.organ.tolist() == ['', '']
    with pytest.raises(ValueError, match=r'give .*masks'):
        open_masks(tmp_path)


def test_labels_of_a_folder(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.array([[0, 1, 2, 255]], np.uint8))
    source = open_masks(tmp_path, foreground=(2,), ignore=255)
    assert source.mask('a').tolist() == [[0, 0, 1, 255]]
    with pytest.raises(ValueError, match=r'a\.png: holds the label 255'):
        open_masks(tmp_path).mask('a')


def test_run_lengths_with_and_without_sizes(tmp_path):
    runs = rle.encode(MASK)
    (tmp_path / 'train_images').mkdir()
    (tmp_path / 'train_images' / '7.tiff').touch()
    (tmp_path / 'train.csv').write_text(
        f'id,organ,data_source,img_height,img_width,pixel_size,rle\n7,lung,HPA,2,3,0.4,{runs}\n'
    )
    source = open_masks(tmp_path / 'train.csv')
    assert source.mask('7').tolist() == MASK.tolist()
    assert source.image_path('7').name == '7.tiff'
    (tmp_path / 'submission.csv').write_text(f'id,rle\n7,{runs}\n8,\n')
    source = open_masks(tmp_path / 'submission.csv')
    assert source.mask('7', (2, 3)).tolist() == MASK.tolist()
    assert not source.mask('8', (2, 3)).any()
    with pytest.raises(ValueError, match='add the columns img_height'):
        source.mask('7')
    with pytest.raises(ValueError, match=r"submission\.csv, id '7': .*out of range"):
        source.mask('7', (2, 2))


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({}, r'holds neither masks \(.*\) nor one of predictions.csv'),
        ({'a.npy': 'x'}, r'holds neither masks \(\.png, \.tif, \.bmp\) nor'),
        ({'predictions.csv': 'name\na\n'}, 'has no column id, only name'),
        ({'predictions.csv': 'id\na\n'}, '1 images of its table have no mask: a'),
        ({'predictions.csv': 'id\na\na\n'}, 'ids occur twice: a'),
        ({'predictions.csv': 'id\n'}, 'has no rows'),
        ({'dice_per_image.csv': 'img_id\na\n'}, '1 images of its table have no mask'),
        (
            {'folds.csv': 'id,pixel_size\na,wide\n'},
            'row 1, id a: pixel_size is .wide',
        ),
        ({'folds.csv': 'id\na\n'}, '1 images of its table have no mask'),
        ({'a.png': '', 'a.tif': ''}, "a.png and a.tif are both named 'a'; keep one"),
        ({'a.png': ''}, 'a.png: is empty'),
    ],
)
def test_what_is_missing_is_named(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        open_masks(tmp_path)


def test_odd_paths_and_tables_are_named(tmp_path):
    with pytest.raises(ValueError, match='no such folder or CSV file'):
        open_masks(tmp_path / 'nowhere')
    table = tmp_path / 'a.csv'
    table.write_text('id,organ\n1,lung\n')
    with pytest.raises(ValueError, match='has no column rle, only organ'):
        open_masks(table)
    root = write_prediction(tmp_path / 'p')
    for text, message in (('{"fold": ', 'is not JSON'), ('[]', 'holds no settings')):
        (root / 'prediction.json').write_text(text)
        with pytest.raises(ValueError, match=rf'prediction\.json: {message}'):
            open_masks(root)
    (root / 'prediction.json').unlink()
    assert open_masks(root).settings == {}
    tifffile.imwrite(root / 'probabilities' / 'a.tif', MASK.astype(np.float32))
    with pytest.raises(ValueError, match=r'a\.tif: holds float32'):
        open_masks(root).probability('a')
    with pytest.raises(ValueError, match="has no mask of 'q'"):
        open_masks(root).mask('q')


def test_rows_of_the_competition(shared_data):
    path = shared_data('hubmap2022') / 'train.csv.gz'
    source = open_masks(path)
    rows = pd.read_csv(path, dtype={'id': str}).set_index('id')
    name = source.ids[5]
    assert len(source.ids) == 351
    lengths = np.array(rows.rle[name].split(), int)[1::2]
    assert source.mask(name).sum() == lengths.sum()
    assert source.table.organ.nunique() == 5
