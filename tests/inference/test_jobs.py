import json
import os

import cv2
import pytest
from small_models import noise

from mmseg_ftu.inference.jobs import Job, list_jobs


@pytest.fixture
def folder(tmp_path):
    """A folder with images, and with files that are none."""
    root = tmp_path / 'my images'
    (root / 'deeper').mkdir(parents=True)
    for name in ('b.png', 'a.tiff', 'C.SVS', '.hidden.png', 'note.txt', 'deeper/d.png'):
        (root / name).write_bytes(b'')
    return root


@pytest.mark.parametrize(
    ('pattern', 'expected'),
    [
        ('', ['C', 'a', 'b']),
        ('b.png', ['b']),
        ('note.txt', ['note']),  # named by the user; the reader says what is wrong
        ('*.png', ['b']),
        ('[ab].*', ['a', 'b']),
        ('**/*.png', ['b', 'd']),
    ],
)
def test_files(folder, pattern, expected):
    jobs = list_jobs(str(folder / pattern), 'kidney', 'HPA', 0.4)
    assert [job.id for job in jobs] == expected
    assert {(j.organ, j.data_source, j.pixel_size) for j in jobs} == {
        ('kidney', 'HPA', 0.4)
    }
    assert all(job.prepared is None for job in jobs)


@pytest.mark.parametrize(
    ('pattern', 'options', 'message'),
    [
        ('nowhere', {}, 'nowhere: no such image or folder'),
        ('*.jpg', {}, 'no image fits'),
        ('empty', {}, 'empty: no image .*in the folder'),
        ('', dict(fold=0), '--fold is for prepared folders'),
        ('', dict(pixel_size=-1), 'pixel_size=-1'),
        ('', dict(pixel_size=float('nan')), 'pixel_size=nan'),
        ('twice', {}, r"A\.tif and .*a\.png would both be written as 'a'"),
    ],
)
def test_faults_are_named(folder, pattern, options, message):
    for name in ('empty', 'twice'):
        (folder / name).mkdir()
    for name in ('twice/a.png', 'twice/A.tif'):
        (folder / name).write_bytes(b'')
    with pytest.raises(ValueError, match=message):
        list_jobs(str(folder / pattern), **options)


@pytest.mark.parametrize(
    ('organ', 'source', 'expected'),
    [
        ('Lung', 'hubmap', ('lung', 'Hubmap')),
        ('lung', 'HPA', ('lung', 'HPA')),
        ('Breast', 'My Lab', ('Breast', 'My Lab')),
        (None, None, (None, None)),
    ],
)
def test_known_names_are_spelt_as_tables_of_thresholds_do(organ, source, expected):
    job = Job('a', 'a.png', organ, source)
    assert (job.organ, job.data_source) == expected


HEADER = 'id,organ,data_source,img_height,img_width,pixel_size,tissue_thickness'
ROW = '10078,spleen,Hubmap,2023,2024,0.4945,4'


@pytest.fixture
def competition(tmp_path):
    """Return a function: rows -> the competition's folder."""

    def make(*rows, header=HEADER):
        (tmp_path / 'test.csv').write_text('\n'.join([header, *rows]) + '\n')
        (tmp_path / 'test_images').mkdir(exist_ok=True)
        return tmp_path

    return make


def test_competition(competition):
    root = competition(ROW, '7,lung,HPA,,,,')
    (root / 'test_images' / '7.png').write_bytes(b'')
    first, second = list_jobs(str(root), organ='ignored')
    path = root / 'test_images' / '10078.tiff'  # missing: reported in its turn
    expected = Job('10078', path, 'spleen', 'Hubmap', 0.4945, (2023, 2024))
    assert first == expected
    assert second == Job('7', root / 'test_images' / '7.png', 'lung', 'HPA')


def test_competitions_own_table(competition, shared_data):
    table = shared_data('hubmap2022') / 'test.csv'
    root = competition()
    (root / 'test.csv').write_bytes(table.read_bytes())
    (job,) = list_jobs(str(root))
    assert (job.id, job.organ, job.data_source) == ('10078', 'spleen', 'Hubmap')
    assert (job.pixel_size, job.original_shape) == (0.4945, (2023, 2023))


@pytest.mark.parametrize(
    ('rows', 'header', 'message'),
    [
        ([], HEADER, r'test\.csv has no rows'),
        (['1,lung'], 'id,organ', r'test\.csv: columns are missing: data_source'),
        ([ROW.replace('0.4945', 'x')], HEADER, r'row 1, id 10078: pixel_size is .x'),
        ([ROW.replace('2023', '20.5')], HEADER, r'row 1, id 10078: img_height x img_w'),
        ([ROW.replace('2023', '')], HEADER, 'give whole pixels or leave them blank'),
        (
            [ROW, ROW.replace('10078', 'x/y')],
            HEADER,
            r'row 2.* is not a plain file name',
        ),
        ([ROW, ROW], HEADER, "would both be written as '10078'"),
        ([ROW], HEADER, '--fold is for prepared'),
    ],
)
def test_faults_of_test_csv_are_named(competition, rows, header, message):
    fold = 0 if 'fold' in message else None
    with pytest.raises(ValueError, match=message):
        list_jobs(str(competition(*rows, header=header)), fold=fold)


@pytest.fixture
def prepared(make_prepared):
    """A prepared folder whose manifest holds settings."""
    root = make_prepared(n=6, folds=3)
    (root / 'manifest.json').write_text(json.dumps(dict(settings=dict(size=64))))
    return root


def test_prepared_folder(prepared):
    assert len(list_jobs(str(prepared))) == 6
    first, second = list_jobs(str(prepared), fold=1)
    assert (first.id, second.id) == ('101', '104')
    assert first.path == prepared / 'images' / '101.png'
    assert (first.organ, first.data_source) == ('lung', 'Hubmap')
    assert (first.pixel_size, second.pixel_size) == (None, 0.4)
    assert first.original_shape == (96, 96)
    assert first.prepared == dict(size=64)


def test_a_prepared_folder_without_settings_is_still_prepared(prepared):
    (prepared / 'manifest.json').write_text('{"settings": {}}')
    assert len(list_jobs(str(prepared), fold=1)) == 2


@pytest.mark.parametrize(
    ('name', 'old', 'new', 'message'),
    [
        ('manifest.json', '"settings"', '"other"', r'manifest\.json: no manifest'),
        ('manifest.json', '{', '[', r'manifest\.json: no manifest'),
        ('folds.csv', 'organ,', 'tissue,', r'folds\.csv: columns are missing: organ'),
        ('folds.csv', '101,lung,Hubmap,96', '101,lung,Hubmap,x', 'row 2, id 101: img_'),
        ('folds.csv', 'HPA,96,96,0.4', 'HPA,96,96,-3', 'row 1, id 100: pixel_size'),
    ],
)
def test_faults_of_a_prepared_folder_are_named(prepared, name, old, new, message):
    text = (prepared / name).read_text()
    assert old in text
    (prepared / name).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        list_jobs(str(prepared))


def test_a_fold_that_is_not_there(prepared):
    with pytest.raises(ValueError, match='no image of fold 7; it has the folds 0, 1'):
        list_jobs(str(prepared), fold=7)


def test_images_of_a_folder_can_be_read(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.PNG'), noise(4, 4))
    (job,) = list_jobs(str(tmp_path))
    assert job == Job('a', tmp_path / 'a.PNG')


def add_oddities(folder):
    """Add what has an image's suffix and is no image of the user's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / '._a.png').write_bytes(b'\0\5\x16\7')  # of macOS, beside a.png
    (folder / 'album.png').mkdir()
    os.mkfifo(folder / 'pipe.png')
    (folder / 'linked.png').symlink_to(folder / 'album.png')


def test_what_is_skipped_in_a_folder_is_told(tmp_path, capsys):
    add_oddities(tmp_path)
    for name in ('a.png', 'notes.txt', '.hidden.txt'):
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'nowhere.png').symlink_to('gone')  # fails by name, later
    assert [job.id for job in list_jobs(str(tmp_path))] == ['a', 'nowhere']
    assert capsys.readouterr().err == (
        f'note: {tmp_path}: 4 with the suffix of an image are skipped: ._a.png '
        '(hidden), album.png (a folder), linked.png (a folder), pipe.png (no regular '
        'file)\n'
    )
    assert [job.id for job in list_jobs(str(tmp_path / 'a*.png'))] == ['a']
    assert 'a*.png: 1 with the suffix of an image is' in capsys.readouterr().err


def test_many_skipped_files_are_still_one_line(tmp_path, capsys):
    for i in range(9):
        (tmp_path / f'{i}.png').write_bytes(b'')
        (tmp_path / f'._{i}.png').write_bytes(b'')
    assert len(list_jobs(str(tmp_path))) == 9
    (line,) = capsys.readouterr().err.splitlines()
    assert '9 with the suffix of an image are skipped: ._0.png (hidden), ' in line
    assert line.endswith('._4.png (hidden), ...')


def test_nothing_is_said_where_nothing_is_skipped(folder, capsys):
    (folder / '.hidden.png').unlink()
    list_jobs(str(folder))
    assert capsys.readouterr().err == ''


def test_one_of_several_processes_tells_what_is_skipped(folder, capsys, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    list_jobs(str(folder))
    assert capsys.readouterr().err == ''
