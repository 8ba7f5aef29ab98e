import os
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from raw_data import save, write_pairs
from small_models import noise

from mmseg_ftu.preparation.pairs import prepare_pairs_of
from mmseg_ftu.preparation.records import PreparationError

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'prepare_pairs.py'


def prepare(source, target, **options):
    defaults = dict(organ='colon', folds=2, workers=0)
    return prepare_pairs_of(source, target, **(defaults | options))


def read(path):
    return cv2.imread(path, cv2.IMREAD_UNCHANGED)


@pytest.fixture
def source(tmp_path):
    return write_pairs(tmp_path / 'my tissue')


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'prepared'


def test_native_size_is_exact(source, target):
    prepare(source, target, pixel_size='1.24', data_source='GlaS', foreground=(1,))
    table = pd.read_csv(target / 'folds.csv')
    assert table['id'].tolist() == [f'tile {number}.v2' for number in range(6)]
    assert set(table['organ']) == {'colon'}
    assert set(table['data_source']) == {'GlaS'}
    assert set(table['pixel_size']) == {1.24}
    assert set(table['img_width']) == {60}
    for name in table['id']:
        image = read(target / 'images' / f'{name}.png')
        np.testing.assert_array_equal(image, read(source / 'images' / f'{name}.png'))
        labels = read(source / 'masks' / f'{name}.png')
        for kind in ('masks', 'masks_original'):
            mask = read(target / kind / f'{name}.png')
            np.testing.assert_array_equal(mask, labels == 1)


def test_size_and_ignore(source, target):
    prepare(source, target, size=30, ignore=2)
    assert read(target / 'images' / 'tile 0.v2.png').shape == (20, 30, 3)
    assert read(target / 'masks_original' / 'tile 0.v2.png').shape == (40, 60)
    mask = read(target / 'masks' / 'tile 0.v2.png')
    assert mask.shape == (20, 30)
    assert set(np.unique(mask)) == {0, 1, 255}
    assert (mask == 255).sum() == pytest.approx(10 * 20 / 4, abs=10)


@pytest.mark.parametrize(
    ('foreground', 'labels'),
    [('auto', [1, 2]), ('nonzero', [1, 2]), (['1', '2'], [1, 2]), (['2'], [2])],
)
def test_foreground(source, target, foreground, labels):
    prepare(source, target, foreground=foreground)
    mask = read(target / 'masks' / 'tile 3.v2.png')
    expected = np.isin(read(source / 'masks' / 'tile 3.v2.png'), labels)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ('images', 'masks', 'options'),
    [
        ('.', '{}_anno.png', dict(images='.', masks='.', mask_suffix='_anno')),
        ('a/b', 'c/{}_anno.bmp', dict(images='a/b', masks='c', mask_suffix='_anno')),
    ],
)
def test_other_folders_and_a_suffix(tmp_path, target, images, masks, options):
    source = write_pairs(tmp_path / 'source', 4, images=images, masks=masks)
    assert 'wrote 4 of 4' in prepare(source, target, **options)


def write_index(source, **columns):
    names = [f'tile {number}.v2' for number in range(6)]
    frame = pd.DataFrame({'name': names, **columns})
    frame.to_csv(source / 'index.csv', index=False)
    return dict(index='index.csv', id_column='name')


def test_index_gives_groups_and_organs(source, target):
    options = write_index(source, patient=[7, 7, 8, 8, 8, ''], where=['lung'] * 6)
    options |= dict(group_column='patient', organ_column='where', organ='')
    prepare(source, target, **options)
    table = pd.read_csv(target / 'folds.csv')
    assert (table.groupby('group')['fold'].nunique() == 1).all()
    assert table['group'].tolist() == [*'77888', 'image-tile 5.v2']
    assert set(table['organ']) == {'lung'}
    assert set(table['fold']) == {0, 1}


@pytest.mark.parametrize(
    ('columns', 'options', 'message'),
    [
        ({}, dict(group_column='patient'), 'index.csv lacks the columns patient'),
        (
            {},
            dict(id_column='file'),
            'index.csv lacks the columns file; it has name.*; --id-column names',
        ),
        ({}, dict(index='other.csv'), 'other.csv: no such file; see --index'),
        ({}, dict(index='', group_column='p'), 'columns p need a table: pass --index'),
        ({'o': ''}, dict(organ_column='o'), "tile 0.v2': organ is ''; give one word"),
    ],
)
def test_unusable_index(source, target, columns, options, message):
    options = write_index(source, **columns) | options
    with pytest.raises(PreparationError, match=message):
        prepare(source, target, **options)


def repeat_first_row(source):
    write_index(source)
    text = (source / 'index.csv').read_text().splitlines()
    (source / 'index.csv').write_text('\n'.join([*text, text[1]]))


def shorten_index(source):
    write_index(source)
    frame = pd.read_csv(source / 'index.csv')[1:]
    frame.to_csv(source / 'index.csv', index=False)


FIRST = "image 'tile 0.v2': "
IMAGE, MASK = Path('images/tile 0.v2.png'), Path('masks/tile 0.v2.png')
FAULTS = [
    (lambda s: (s / MASK).unlink(), {}, FIRST + 'no mask in '),
    (lambda s: (s / IMAGE).unlink(), {}, FIRST + 'no image in '),
    (
        lambda s: save(s / 'images/tile 0.v2.bmp', np.zeros((9, 9, 3), np.uint8)),
        {},
        'several images: tile 0.v2.bmp, tile 0.v2.png; keep one',
    ),
    (
        lambda s: save(s / MASK, np.ones((40, 61), np.uint8)),
        {},
        FIRST + 'the mask has 40 x 61 px, the image 40 x 60 px',
    ),
    (lambda s: save(s / MASK, np.zeros((40, 60), np.uint8)), {}, 'the mask is empty'),
    (lambda s: save(s / MASK, np.eye(60, dtype=np.uint8)[:40] * 246 + 9), {}, '[9]'),
    (lambda s: (s / IMAGE).write_bytes(b'\x89PNG'), {}, 'cannot be decoded'),
    (lambda s: (s / MASK).write_bytes(b''), {}, 'tile 0.v2.png: is empty'),
    (lambda s: save(s / IMAGE, np.zeros((40, 60), np.uint8)), {}, 'is it a mask'),
    (lambda s: None, dict(foreground=(3,)), FIRST + 'the mask is empty'),
    (lambda s: None, dict(foreground=('x',)), 'give labels, or the single word'),
    (lambda s: None, dict(foreground=('1', 'auto')), 'give labels, or the single'),
    (lambda s: None, dict(organ='large intestine'), "organ is 'large intestine'"),
    (lambda s: None, dict(data_source=''), "data_source is ''; give one word"),
    (lambda s: None, dict(pixel_size='big'), "pixel_size is 'big'"),
    (lambda s: None, dict(images='pictures'), 'pictures: no such folder; see --images'),
    (lambda s: None, dict(masks='images'), 'tell them apart by --mask-suffix'),
    (lambda s: (s / 'none').mkdir(), dict(images='none'), 'none holds no image'),
    (
        repeat_first_row,
        dict(index='index.csv', id_column='name'),
        'index.csv names more than once: tile 0.v2',
    ),
    (
        shorten_index,
        dict(index='index.csv', id_column='name'),
        FIRST + 'no row in index.csv; add it',
    ),
    (
        lambda s: save(s / 'images/TILE 0.v2.png', np.zeros((9, 9, 3), np.uint8)),
        {},
        'differs from another by case only',
    ),
]


@pytest.mark.parametrize(('spoil', 'options', 'message'), FAULTS)
def test_faults(source, target, spoil, options, message):
    spoil(source)
    with pytest.raises(PreparationError) as error:
        prepare(source, target, **options)
    assert message in str(error.value)
    assert not target.exists()


@pytest.mark.parametrize('kind', ['uint16', 'int32'])
def test_maps_of_instances(tmp_path, target, kind):
    """Each object has its own number, as Cellpose and StarDist write them."""
    source = write_pairs(tmp_path / 'cells')
    for path in sorted((source / 'masks').iterdir()):
        labels = np.zeros((40, 60), kind)
        labels[5:15, 10:20], labels[20:30, 30:50] = 255, 31_000
        labels[33:36, 3:6] = np.iinfo(kind).max
        tifffile.imwrite(path.with_suffix('.tif'), labels)
        path.unlink()
    prepare(source, target, foreground='nonzero')
    mask = read(target / 'masks' / 'tile 0.v2.png')
    assert mask.sum() == 10 * 10 + 10 * 20 + 3 * 3
    assert mask[10, 15] == mask[25, 40] == mask[34, 4] == 1


def test_all_faults_at_once(source, target):
    (source / MASK).unlink()
    (source / 'images' / 'tile 2.v2.png').unlink()
    (source / 'masks' / 'tile 4.v2.png').write_bytes(b'')
    with pytest.raises(PreparationError) as error:
        prepare(source, target)
    lines = str(error.value).splitlines()
    assert [line[: len(FIRST) - 2] for line in lines[:-1]] == [
        f"image 'tile {number}.v2'" for number in (0, 2, 4)
    ]
    assert lines[-1] == '3 faults; nothing was written.'


@pytest.mark.parametrize(
    ('empty', 'expected'), [('keep', range(6)), ('skip', range(1, 6))]
)
def test_empty_masks(source, target, empty, expected):
    save(source / MASK, np.zeros((40, 60), np.uint8))
    prepare(source, target, empty=empty)
    table = pd.read_csv(target / 'folds.csv')
    names = [f'tile {number}.v2' for number in expected]
    assert table['id'].tolist() == names
    assert sorted(path.stem for path in (target / 'images').iterdir()) == names
    assert 'nothing to do' in prepare(source, target, empty=empty)


def test_other_rule_for_empty_masks_is_applied_to_finished_images(source, target):
    save(source / MASK, np.zeros((40, 60), np.uint8))
    prepare(source, target, empty='keep')
    with pytest.raises(PreparationError, match='the mask is empty'):
        prepare(source, target, empty='refuse', overwrite=True)
    prepare(source, target, empty='skip', overwrite=True)
    assert not (target / 'images' / 'tile 0.v2.png').exists()


def test_nothing_but_empty_masks(source, target):
    with pytest.raises(PreparationError, match='no image is left'):
        prepare(source, target, foreground=(9,), empty='skip')


@pytest.mark.parametrize(
    ('labels', 'options', 'note'),
    [
        ((1, 2), {}, 'note: masks hold the labels 1, 2, and all of them count as'),
        ((1, 2), dict(foreground='nonzero'), 'note: masks hold the labels 1, 2'),
        ((1, 2), dict(foreground=(1, 2)), None),
        ((1,), {}, None),
        ((255,), {}, None),
        (range(1, 6), {}, None),  # as many as instances have
    ],
)
def test_several_labels_that_become_one_are_said(tmp_path, labels, options, note):
    source = tmp_path / 'classes'
    for i in range(6):
        mask = np.zeros((40, 60), np.uint8)
        for k, label in enumerate(labels):
            mask[:20, 8 * k : 8 * k + 8] = label
        save(source / 'images' / f'{i}.png', noise(40, 60))
        save(source / 'masks' / f'{i}.png', mask)
    summary = prepare(source, tmp_path / 'target', **options)
    assert (note in summary) if note else ('note' not in summary)


def test_tool(source, target, monkeypatch, capsys):
    write_index(source, patient=list('aabbcc'))
    arguments = '--organ colon --foreground 1 2 --index index.csv --id-column name '
    arguments += '--group-column patient --folds 3 --size 32 --workers 1'
    command = [str(TOOL), str(source), str(target), *arguments.split()]
    monkeypatch.setattr(sys, 'argv', command)
    monkeypatch.syspath_prepend(TOOL.parent)
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert exit_.value.code == 0
    assert 'wrote 6 of 6 images' in capsys.readouterr().out
    table = pd.read_csv(target / 'folds.csv')
    assert (table.groupby('group')['fold'].nunique() == 1).all()


@pytest.mark.parametrize(
    ('name', 'options', 'count'),
    [
        (
            'glas_bench',
            dict(index='index.csv', id_column='name', group_column='patient'),
            126,
        ),
        ('prostate_rings', dict(foreground=(1,), empty='skip'), 10),
        ('kidney_glomeruli_pas', dict(size=256), 24),
    ],
)
def test_real_tissue(shared_data, target, name, options, count):
    summary = prepare(shared_data(name), target, folds=5, workers=2, **options)
    assert f'wrote {count} of {count} images' in summary
    table = pd.read_csv(target / 'folds.csv')
    assert set(table['fold']) == set(range(5))
    assert (table.groupby('group')['fold'].nunique() == 1).all()
    for identity in table['id']:
        image = read(target / 'images' / f'{identity}.png')
        mask = read(target / 'masks' / f'{identity}.png')
        assert mask.shape == image.shape[:2]
        assert set(np.unique(mask)) <= {0, 1}
        assert mask.any()


@pytest.mark.parametrize('suffix', ['', '_mask'])
def test_odd_entries_are_skipped_and_told_once(tmp_path, target, capsys, suffix):
    where = dict(images='.', masks='{}_mask.png') if suffix else {}
    source = write_pairs(tmp_path / 'my tissue', **where)
    folder = source / where.get('images', 'images')
    (folder / '._tile.png').write_bytes(b'\0\5\x16\7')  # of macOS
    (folder / 'album.png').mkdir()
    os.mkfifo(folder / 'pipe.png')  # opening it would never end
    options = dict(images='.', masks='.', mask_suffix=suffix) if suffix else {}
    prepare(source, target, **options)
    assert len(pd.read_csv(target / 'folds.csv')) == 6
    said = capsys.readouterr().err.splitlines()  # progress, too
    (line,) = [line for line in said if line.startswith('note: ')]
    assert line == (
        f'note: {folder}: 3 with the suffix of an image are skipped: ._tile.png '
        '(hidden), album.png (a folder), pipe.png (no regular file)'
    )
