"""The prepared folder: what is read, what is written, what is refused."""

import json

import pandas as pd
import pytest

from mmseg_ftu.prepared_folder import FolderPaths, PreparedFolder, read_bytes
from mmseg_ftu.prepared_table import (
    COLUMNS,
    NEEDED,
    PreparedImage,
    folds_id,
    image_key,
    parse_fold,
    read_images,
    table_bytes,
)

HEADER = ','.join(COLUMNS)
FIRST = 'a,lung,HPA,96,80,0.4,60,Male,g,0'
SECOND = 'b.2,kidney,Hubmap,2023,2024,,,,,1'


def row(**cells):
    """Return the first row with other cells."""
    first = dict(zip(COLUMNS, FIRST.split(','), strict=True))
    return ','.join((first | cells).values())


@pytest.fixture
def write(tmp_path):
    """Return a function: lines of the table, manifest -> the folder."""

    def make(*rows, header=HEADER, manifest='{"settings": {}}'):
        (tmp_path / 'folds.csv').write_text('\n'.join([header, *rows]) + '\n')
        (tmp_path / 'manifest.json').write_text(manifest)
        return tmp_path

    return make


def test_what_a_folder_says(write):
    stain = dict(id='vahadane', order='resize-first', state={})
    settings = dict(size=64, folds=2, stain=stain)
    root = write(FIRST, SECOND, manifest=json.dumps(dict(settings=settings, layout=1)))
    folder = PreparedFolder.open(str(root))
    first, second = folder.images
    assert first == PreparedImage('a', 'lung', 'HPA', (96, 80), 0.4, 0)
    assert second == PreparedImage('b.2', 'kidney', 'Hubmap', (2023, 2024), None, 1)
    assert first.key == image_key('a', (96, 80), 'HPA')
    assert folder.folds == {'a': 0, 'b.2': 1}
    assert folder.folds_id == folds_id(folder.folds)
    assert folder.in_fold(1) == (second,)
    assert (folder.settings, folder.size) == (settings, 64)
    assert folder.stain.to_dict() == stain
    assert folder.manifest['layout'] == 1
    assert folder.image_path('b.2') == root / 'images' / 'b.2.png'
    assert folder.mask_path('a') == root / 'masks' / 'a.png'
    assert folder.mask_path('a', original=True) == root / 'masks_original' / 'a.png'
    with pytest.raises(ValueError, match=r'folds\.csv: no image of fold 7; .* 0, 1$'):
        folder.in_fold(7)


@pytest.mark.parametrize(
    ('cells', 'expected'),
    [
        (dict(organ='', data_source=''), dict(organ='', data_source='')),
        (dict(pixel_size=''), dict(pixel_size=None)),
        (dict(img_height='96.0', fold='1.0'), dict(shape=(96, 80), fold=1)),
        (dict(fold='-1'), dict(fold=-1)),  # trained on in every fold
        (dict(id=' a ', organ=' lung'), dict(id='a', organ='lung')),
        (dict(id='ä 1'), dict(id='ä 1')),
        (dict(id='007'), dict(id='007')),
    ],
)
def test_odd_cells_that_can_be_read(write, cells, expected):
    (image,) = PreparedFolder.open(write(row(**cells))).images
    assert {name: getattr(image, name) for name in expected} == expected


@pytest.mark.parametrize(
    ('cells', 'message'),
    [
        (dict(id=''), 'the id is empty'),
        (dict(id='x/y'), 'not a plain file name'),
        (dict(pixel_size='x'), "pixel_size is 'x'; give a positive number or leave"),
        (dict(pixel_size='-3'), "pixel_size is '-3'"),
        (dict(pixel_size='inf'), "pixel_size is 'inf'"),
        (dict(pixel_size='nan'), "pixel_size is 'nan'"),
        (dict(img_width=''), 'img_height x img_width is 96 x ; give whole pixels$'),
        (dict(img_height='', img_width=''), 'is  x ; give whole pixels$'),
        (dict(img_height='9.5'), 'is 9.5 x 80; give whole pixels'),
        (dict(img_height='0'), 'is 0 x 80; give whole pixels'),
        (dict(img_height='nan'), 'is nan x 80; give whole pixels'),
        (dict(fold=''), "fold is ''; give a whole number"),
        (dict(fold='a'), "fold is 'a'; give a whole number"),
        (dict(fold='0.5'), "fold is '0.5'; give a whole number"),
        (dict(fold='inf'), "fold is 'inf'; give a whole number"),
    ],
)
def test_faulty_cells_are_named(write, cells, message):
    root = write(SECOND, row(**cells))
    place = rf'folds\.csv row 2, id {cells.get("id", "a")}: '
    with pytest.raises(ValueError, match=place + '.*' + message):
        PreparedFolder.open(root)


def test_several_faults_are_listed_together(write):
    root = write(row(id='a', fold='x', pixel_size='0'), SECOND, row(id='c', fold=''))
    with pytest.raises(ValueError, match='row 1, id a') as caught:
        PreparedFolder.open(root)
    lines = str(caught.value).splitlines()
    assert [line.split(' row ')[1].split(' is ')[0] for line in lines] == [
        '1, id a: pixel_size',
        '1, id a: fold',
        '3, id c: fold',
    ]
    root = write(*(row(id=f'i{number}', fold='x') for number in range(13)))
    with pytest.raises(ValueError, match='and 3 more faults') as caught:
        PreparedFolder.open(root)
    assert len(str(caught.value).splitlines()) == 11


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ('', 'is not a readable csv table'),
        (HEADER + '\n', 'has no rows'),
        ('id,fold\na,0\n', 'missing: data_source, img_height, .*; it has id, fold$'),
        (f'{HEADER}\n{FIRST}\n{SECOND}\n{FIRST}\n', 'ids occur twice: a; keep one'),
        (f'{HEADER}\n{FIRST}\n{FIRST.replace("a", "A", 1)}\n', 'twice: A, a; keep'),
    ],
)
def test_faulty_tables_are_named(write, table, message):
    root = write(FIRST)
    (root / 'folds.csv').write_text(table)
    with pytest.raises(ValueError, match=r'folds\.csv:? .*' + message):
        PreparedFolder.open(root)


def test_a_table_that_is_not_utf_8_is_named(write):
    root = write(FIRST)
    (root / 'folds.csv').write_bytes(f'{HEADER}\n{FIRST}'.encode('utf-16'))
    with pytest.raises(ValueError, match=r'folds\.csv: is not a readable csv table'):
        PreparedFolder.open(root)


def test_a_byte_order_mark_and_other_columns_do_no_harm(write):
    root = write(FIRST + ',x', header=HEADER + ',mine')
    content = (root / 'folds.csv').read_bytes()
    (root / 'folds.csv').write_bytes(b'\xef\xbb\xbf' + content)
    assert PreparedFolder.open(root).folds == {'a': 0}


@pytest.mark.parametrize(
    ('manifest', 'message'),
    [
        ('', 'no manifest'),
        ('{"settings": ', 'no manifest'),
        ('[]', 'no manifest'),
        ('"settings"', 'no manifest'),
        ('{"made_by": "someone"}', r"no manifest \('settings'\); prepare again"),
        ('{"settings": null}', 'no manifest .*is not an object'),
    ],
)
def test_faulty_manifests_are_named(write, manifest, message):
    root = write(FIRST, manifest=manifest)
    with pytest.raises(ValueError, match=rf'manifest\.json: {message}'):
        PreparedFolder.open(root)
    unread = PreparedFolder.open(root, finished=False)
    assert (unread.manifest, unread.settings) == ({}, {})


def test_old_folders_without_settings_are_read(write):
    folder = PreparedFolder.open(write(FIRST))
    assert (folder.settings, folder.size, folder.stain) == ({}, None, None)


@pytest.mark.parametrize('name', ['folds.csv', 'manifest.json'])
def test_what_is_missing_is_named(write, name):
    root = write(FIRST)
    assert FolderPaths(root).is_finished
    FolderPaths(root).require_finished()
    (root / name).unlink()
    assert not FolderPaths(root).is_finished
    message = rf'not a \(completely\) prepared folder: .*{name} is missing\. Prepare it'
    with pytest.raises(ValueError, match=message):
        PreparedFolder.open(root)
    with pytest.raises(ValueError, match=message):
        FolderPaths(root).require_finished()


@pytest.mark.parametrize(
    'names',
    [('organ',), ('data_source',), ('img_height', 'img_width'), ('fold',), NEEDED[1:]],
)
def test_columns_that_are_not_needed_may_be_missing(write, names):
    cells = dict(zip(COLUMNS, FIRST.split(','), strict=True))
    for name in names:
        del cells[name]
    root = write(','.join(cells.values()), header=','.join(cells))
    missing = f'columns are missing: {", ".join(sorted(names))}; it has id'
    with pytest.raises(ValueError, match=missing):
        PreparedFolder.open(root)
    (image,) = PreparedFolder.open(root, needed=()).images
    assert image.id == 'a'
    with pytest.raises(ValueError, match=missing):
        read_images(root / 'folds.csv', needed=names)


def test_an_image_of_unknown_size_has_no_key(write):
    (image,) = PreparedFolder.open(write('a', header='id'), needed=()).images
    assert image == PreparedImage('a')
    with pytest.raises(ValueError, match='fill in img_height and img_width'):
        assert image.key


def test_missing_files_are_listed(make_prepared):
    folder = PreparedFolder.open(make_prepared(n=12))
    folder.require_files(folder.images)
    folder.mask_path('103').unlink()
    folder.require_files(folder.images, original=True)
    folder.require_files(folder.in_fold(2))
    with pytest.raises(ValueError, match=r'1 files are missing:\n  103 \(.*masks/103'):
        folder.require_files(folder.images)
    with pytest.raises(ValueError, match='24 files are missing') as caught:
        folder.require_files(folder.images, exists=lambda path: False)
    assert 'and 14 more\nPrepare it with' in str(caught.value)


def test_files_may_come_from_elsewhere(write):
    root = write(FIRST)
    (root / 'folds.csv').rename(root / 'mine.csv')
    asked = []

    def read(path):
        asked.append(path)
        return read_bytes(path)

    folder = PreparedFolder.open(root, table='mine.csv', read=read)
    assert folder.folds == {'a': 0}
    assert asked == [str(root / 'mine.csv'), str(root / 'manifest.json')]


def test_what_is_written_is_read_again(tmp_path):
    paths = FolderPaths(tmp_path)
    cells = [FIRST.split(','), SECOND.split(',')]
    frame = pd.DataFrame(cells, columns=list(COLUMNS))
    assert not paths.has_table(frame)
    paths.write_table(frame[list(reversed(COLUMNS))])
    assert paths.has_table(frame)
    assert paths.table_path.read_text() == f'{HEADER}\n{FIRST}\n{SECOND}\n'
    assert not paths.has_table(frame.assign(fold='0'))
    paths.write_manifest(dict(settings=dict(source='dätä', size=None)))
    folder = PreparedFolder.open(tmp_path)
    assert folder.settings == dict(source='dätä', size=None)
    assert [image.id for image in folder.images] == ['a', 'b.2']
    with pytest.raises(KeyError, match='sex'):
        table_bytes(frame.drop(columns='sex'))


def test_the_split_is_named_by_ids_and_folds():
    first = folds_id({'a': 0, 'b': 1})
    assert first == folds_id({'b': 1, 'a': 0})
    assert len({first, folds_id({'a': 1, 'b': 0}), folds_id({'a': 0, 'c': 1})}) == 3
    assert first == '4b4543fe5561'  # as in checkpoints that people have


def test_an_image_is_named_by_id_shape_and_source():
    key = image_key('1', (30, 40), 'HPA')
    assert key == image_key('1', [30, 40], 'hpa')
    others = [('2', (30, 40), 'HPA'), ('1', (40, 30), 'HPA'), ('1', (30, 40), 'own')]
    assert key not in {image_key(*other) for other in others}
    assert key == 'c89ca986979e'  # as in checkpoints that people have


@pytest.mark.parametrize('fold', [3, '3', ' 3'])
def test_a_fold_is_a_number_or_its_digits(fold):
    assert parse_fold(fold) == 3


@pytest.mark.parametrize('fold', ['', 'two', 1.5, '-1', -1, None])
def test_other_folds_are_refused(fold):
    with pytest.raises(ValueError, match=r'is not a whole number from 0 .*FOLD'):
        parse_fold(fold)


def test_folds_of_the_competition(shared_data, tmp_path):
    """Rows of real images, as `train.csv` tells them."""
    table = pd.read_csv(shared_data('hubmap2022') / 'train.csv.gz', dtype=str)
    table = table.assign(group='', fold=[str(i % 5) for i in range(len(table))])
    FolderPaths(tmp_path).write_table(table)
    folder = PreparedFolder.open(tmp_path, finished=False)
    assert len(folder.images) == 351
    assert len(folder.in_fold(0)) == 71
    assert {image.organ for image in folder.images} == {
        *('kidney', 'largeintestine', 'lung', 'prostate', 'spleen')
    }
