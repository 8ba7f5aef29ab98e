import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from raw_data import disc, write_source

from mmseg_ftu import prepared_folder
from mmseg_ftu.cli import run_command
from mmseg_ftu.masks import rle
from mmseg_ftu.preparation import prepare_folder
from mmseg_ftu.preparation.competition import prepare_hubmap
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.prepared_table import ORGANS

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'prepare_hubmap.py'
COLUMNS = 'organ data_source img_height img_width pixel_size age sex group fold'


def edit(source, row, column, value):
    frame = pd.read_csv(source / 'train.csv', dtype=str, keep_default_na=False)
    frame.loc[row - 1, column] = value
    frame.to_csv(source / 'train.csv', index=False)


def prepare(source, target, **options):
    defaults = dict(size=30, folds=2, workers=0)
    return prepare_hubmap(source, target, **(defaults | options))


def run_tool(source, target, workers):
    """Prepare as the command line does; return the exit code."""
    options = ['--size', '30', '--folds', '2', '--workers', str(workers)]
    return run_command('prepare_hubmap', [str(source), str(target), *options])


def contents(folder):
    """Return all files as bytes."""
    files = [path for path in sorted(folder.rglob('*')) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / 'dätä set')


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'prepared hére'


@pytest.mark.parametrize('workers', [0, 3])
def test_layout(source, target, workers):
    summary = prepare(source, target, workers=workers)
    assert 'wrote 10 of 10 images' in summary
    assert 'kidney' in summary
    table = pd.read_csv(target / 'folds.csv', dtype={'id': str})
    assert table.columns.tolist() == ['id', *COLUMNS.split()]
    assert table['id'].tolist() == [f'{number:04d}' for number in range(10)]
    assert table['group'].tolist()[:2] == ['donor-30-male', 'donor-31-male']
    assert table['fold'].value_counts().tolist() == [5, 5]
    assert table['pixel_size'].unique().tolist() == [0.4]
    assert not list(target.rglob('*.tmp'))
    for number, name in enumerate(table['id']):
        image = cv2.imread(target / 'images' / f'{name}.png')[..., ::-1]
        rgb = tifffile.imread(source / 'train_images' / f'{name}.tiff')
        expected = rgb.reshape(30, 2, 30, 2, 3).mean((1, 3))
        assert np.abs(image - expected).max() <= 0.5
        original = cv2.imread(target / 'masks_original' / f'{name}.png', -1)
        np.testing.assert_array_equal(original, disc((60, 60), number))
        mask = cv2.imread(target / 'masks' / f'{name}.png', -1)
        share = original.reshape(30, 2, 30, 2).mean((1, 3))
        np.testing.assert_array_equal(mask, share >= 0.5)


def test_manifest(source, target):
    prepare(source, target, seed=3)
    manifest = json.loads((target / 'manifest.json').read_text(encoding='utf-8'))
    assert manifest['settings'] == dict(
        tool='prepare_hubmap',
        source='dätä set',
        size=30,
        folds=2,
        seed=3,
        resized=False,
        empty='refuse',
    )
    assert manifest['counts']['images'] == 10
    assert manifest['counts']['by_organ'] == dict.fromkeys(sorted(ORGANS), 2)
    assert set(manifest['versions']) == {'mmseg_ftu', 'numpy', 'opencv'}
    assert len(manifest['made_of']) == 10


def test_same_size_is_exact(source, target):
    prepare(source, target, size=60)
    for number in range(10):
        rgb = tifffile.imread(source / 'train_images' / f'{number:04d}.tiff')
        image = cv2.imread(target / 'images' / f'{number:04d}.png')[..., ::-1]
        np.testing.assert_array_equal(image, rgb)
        masks = [
            target / kind / f'{number:04d}.png' for kind in prepared_folder.FOLDERS[1:]
        ]
        assert masks[0].read_bytes() == masks[1].read_bytes()


def test_spelling_that_is_accepted(source, target):
    edit(source, 1, 'data_source', 'HUBMAP')
    edit(source, 2, 'data_source', 'hpa')
    edit(source, 3, 'img_height', '60.0')
    edit(source, 4, 'age', '')
    edit(source, 5, 'age', '0')
    text = (source / 'train.csv').read_text(encoding='utf-8')
    (source / 'train.csv').write_text('\ufeff' + text, encoding='utf-8')
    prepare(source, target)
    table = pd.read_csv(target / 'folds.csv')
    assert table['data_source'].tolist()[:3] == ['Hubmap', 'HPA', 'HPA']
    assert table['img_height'].tolist() == [60] * 10
    assert table['group'][3] == 'image-0003'


def truncate(source):
    path = source / 'train_images' / '0000.tiff'
    path.write_bytes(path.read_bytes()[:5000])


def write_image(source, pixels, name='0000.tiff'):
    tifffile.imwrite(source / 'train_images' / name, pixels)


ROW_1 = 'train.csv row 1, id 0000: '
FAULTS = {
    'missing image': (
        lambda source: (source / 'train_images' / '0000.tiff').unlink(),
        ROW_1 + 'no image 0000.tiff in ',
    ),
    'truncated image': (truncate, '0000.tiff: is truncated: 5000 bytes'),
    'empty file': (
        lambda source: (source / 'train_images' / '0000.tiff').write_bytes(b''),
        '0000.tiff: is empty (0 bytes)',
    ),
    'transparent image': (
        lambda source: write_image(source, np.zeros((60, 60, 4), np.uint8)),
        'RGBA',
    ),
    'two images': (
        lambda source: write_image(source, disc((60, 60)), '0000.tif'),
        '0000.tif, 0000.tiff; keep one',
    ),
    'resized image': (
        lambda source: write_image(source, np.zeros((20, 20, 3), np.uint8)),
        '0000.tiff has 20 x 20 px instead of 60 x 60 px; pass --resized',
    ),
    'another shape': (
        lambda source: write_image(source, np.zeros((20, 30, 3), np.uint8)),
        '0000.tiff has 20 x 30 px, which is not a resized copy of 60 x 60 px',
    ),
    **{
        f'{column} {value[:20]!r}': (
            lambda source, column=column, value=value: edit(source, 1, column, value),
            message,
        )
        for column, value, message in [
            ('organ', 'liver', ROW_1 + "unknown organ 'liver'; known: kidney, large"),
            ('data_source', 'TCGA', ROW_1 + "unknown data_source 'TCGA'; known: HPA"),
            ('img_height', '6x', 'img_height x img_width is 6x x 60; give whole'),
            ('img_height', '', 'give whole pixels'),
            ('img_height', '60.5', 'give whole pixels'),
            ('img_height', 'nan', 'give whole pixels'),
            ('img_height', 'inf', 'give whole pixels'),
            ('img_height', '0', 'not between 1 and'),
            ('img_height', '-60', 'not between 1 and'),
            ('img_height', '900000000', 'not between 1 and'),
            ('pixel_size', '-1', "pixel_size is '-1'; give a positive number"),
            ('pixel_size', 'x', "pixel_size is 'x'"),
            ('age', 'old', "age is 'old'"),
            ('id', '0001', 'train.csv row 2, id 0001: the id occurs more than once'),
            ('id', '../x', "id ../x: the id '../x' begins or ends with"),
            ('id', 'a/b', "the id 'a/b' is not a plain file name, as it has the"),
            ('id', 'a\\b', 'is not a plain file name'),
            ('id', 'C:x', 'is not a plain file name'),
            ('id', 'a\x07', 'is not a plain file name'),
            ('id', '', 'the id is empty'),
            ('id', '.hidden', 'begins or ends with'),
            ('id', 'x' * 201, 'is longer than 200 bytes'),
            ('rle', '', ROW_1 + 'the mask is empty; mend it'),
            ('rle', '1 2 3', ROW_1 + 'the RLE has an odd count of numbers (3)'),
            ('rle', '1 2 x 3', "pair 2 of the RLE: 'x' is not a whole number"),
            ('rle', '1 5 3 2', 'overlaps pair 1'),
            ('rle', '9 1 1 2', 'unsorted'),
            ('rle', '3600 2', 'out of range, it ends at pixel 3601 of a 60 x 60'),
            ('rle', '0 2', 'the start is below 1'),
        ]
    },
}


@pytest.mark.parametrize('name', FAULTS)
def test_one_fault(source, target, name):
    spoil, message = FAULTS[name]
    spoil(source)
    with pytest.raises(PreparationError) as error:
        prepare(source, target)
    assert message in str(error.value)
    assert 'nothing was written' in str(error.value)
    assert not target.exists()


def test_all_faults_at_once_in_the_order_of_rows(source, target):
    (source / 'train_images' / '0006.tiff').unlink()
    edit(source, 1, 'organ', 'liver')
    edit(source, 1, 'rle', '1 2 3')
    truncate(source)
    edit(source, 3, 'id', '../x')
    edit(source, 3, 'rle', '5')
    edit(source, 5, 'data_source', 'TCGA')
    edit(source, 7, 'rle', '7 0')
    edit(source, 9, 'rle', '')
    with pytest.raises(PreparationError) as error:
        prepare(source, target, workers=3)
    lines = str(error.value).splitlines()
    found = [(line.split(',')[0], line.split(': ', 1)[1][:20]) for line in lines[:-1]]
    assert [place.removeprefix('train.csv row ') for place, _ in found] == list(
        '111335779'
    )
    assert lines[-1] == '9 faults; nothing was written.'
    assert not target.exists()


def drop_column(source):
    frame = pd.read_csv(source / 'train.csv').drop(columns=['rle', 'organ'])
    frame.to_csv(source / 'train.csv', index=False)


def keep_header(source):
    path = source / 'train.csv'
    path.write_text(path.read_text(encoding='utf-8').splitlines()[0] + '\n')


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (drop_column, r'train.csv lacks the columns organ, rle; it has id,'),
        (keep_header, r'train.csv has no rows'),
        (lambda s: (s / 'train.csv').write_bytes(b''), 'not a readable csv table'),
        (
            lambda s: (s / 'train.csv').write_bytes(b'\xff\x00\x81'),
            'not a readable csv',
        ),
        (
            lambda s: (s / 'train.csv').write_text('id,organ\n1,2\n3,4,5,6\n'),
            'not a readable csv',
        ),
        (lambda s: (s / 'train.csv').unlink(), 'no such file; name the folder'),
        (lambda s: shutil.rmtree(s / 'train_images'), 'train_images: no such folder'),
    ],
)
def test_unusable_source(source, target, spoil, message):
    spoil(source)
    with pytest.raises(PreparationError, match=message):
        prepare(source, target)
    assert not target.exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(folds=11), '10 images in 10 groups cannot make 11 folds'),
        (dict(folds=1), 'at least 2 folds'),
        (dict(size=0), '--size 0'),
        (dict(size=10**6), '--size 1000000'),
        (dict(workers=-1), '--workers -1'),
    ],
)
def test_senseless_options(source, target, options, message):
    with pytest.raises(PreparationError, match=message):
        prepare(source, target, **options)
    assert not target.exists()


@pytest.mark.parametrize('place', ['.', 'prepared', '..'])
def test_target_and_source_are_kept_apart(source, place):
    with pytest.raises(PreparationError, match='name a folder beside it'):
        prepare(source, source / place)


def test_no_prepared_folder_lies_in_another(source, target):
    prepare(source, target)
    with pytest.raises(PreparationError, match='lies in the prepared folder'):
        prepare(source, target / 'inner' / 'folder')


@pytest.mark.parametrize('image_shape', [(20, 30), (21, 31), (120, 180), (20, 31)])
def test_resized_copies(tmp_path, target, image_shape):
    source = write_source(tmp_path / 'source', 4, (60, 90), image_shape)
    with pytest.raises(PreparationError, match='pass --resized'):
        prepare(source, target, size=45)
    prepare(source, target, size=45, resized=True)
    assert cv2.imread(target / 'images' / '0000.png').shape == (30, 45, 3)
    assert cv2.imread(target / 'masks' / '0000.png', -1).shape == (30, 45)
    original = cv2.imread(target / 'masks_original' / '0000.png', -1)
    np.testing.assert_array_equal(original, disc((60, 90)))


@pytest.mark.parametrize('image_shape', [(30, 20), (20, 34), (24, 30)])
def test_other_shapes_are_no_resized_copies(tmp_path, target, image_shape):
    source = write_source(tmp_path / 'source', 4, (60, 90), image_shape)
    with pytest.raises(PreparationError, match='not a resized copy'):
        prepare(source, target, resized=True)


def test_png_copies_are_found(source, target):
    folder = source / 'train_images'
    rgb = tifffile.imread(folder / '0000.tiff')
    (folder / '0000.tiff').unlink()
    cv2.imwrite(folder / '0000.png', rgb[..., ::-1])
    prepare(source, target, size=60)
    image = cv2.imread(target / 'images' / '0000.png')[..., ::-1]
    np.testing.assert_array_equal(image, rgb)


def test_second_run_does_nothing(source, target):
    prepare(source, target)
    before = {path: path.stat().st_mtime_ns for path in target.rglob('*')}
    assert 'finished already, nothing to do' in prepare(source, target)
    assert {path: path.stat().st_mtime_ns for path in target.rglob('*')} == before


def changed_files(target, action):
    """Return the names of the png files that an action replaces."""
    before = {path: path.stat().st_ino for path in target.rglob('*.png')}
    action()
    after = {path: path.stat().st_ino for path in target.rglob('*.png')}
    return {path.name for path in after if before.get(path) != after[path]}


@pytest.mark.parametrize('change', ['image', 'mask', 'deleted', 'stale progress'])
def test_changed_sources_are_made_again(source, target, change):
    prepare(source, target)
    if change == 'image':
        write_image(source, np.full((60, 60, 3), 7, np.uint8), '0004.tiff')
    elif change == 'mask':
        edit(source, 5, 'rle', '1 30')
    elif change == 'deleted':
        (target / 'masks' / '0004.png').unlink()
    else:
        manifest = json.loads((target / 'manifest.json').read_text(encoding='utf-8'))
        manifest['made_of']['0004'] = 'other'
        (target / 'manifest.json').write_text(json.dumps(manifest))
    assert changed_files(target, lambda: prepare(source, target)) == {'0004.png'}
    fresh = target.with_name('fresh')
    prepare(source, fresh)
    assert contents(fresh) == contents(target)


def test_removed_rows_leave_nothing_behind(source, target):
    prepare(source, target)
    frame = pd.read_csv(source / 'train.csv', dtype={'id': str})
    frame[:-1].to_csv(source / 'train.csv', index=False)
    prepare(source, target)
    fresh = target.with_name('fresh')
    prepare(source, fresh)
    assert contents(fresh) == contents(target)
    assert not (target / 'images' / '0009.png').exists()


def test_a_fault_leaves_a_finished_folder_alone(source, target):
    prepare(source, target)
    before = contents(target)
    truncate(source)
    with pytest.raises(PreparationError, match='truncated'):
        prepare(source, target)
    assert contents(target) == before


@pytest.mark.parametrize(
    ('options', 'named', 'remade'),
    [
        (dict(size=20), r'size 30 \(now 20\)', 10),
        (dict(folds=3), r'folds 2 \(now 3\)', 0),
        (dict(seed=1), r'seed 0 \(now 1\)', 0),
        (dict(resized=True), r'resized False \(now True\)', 10),
    ],
)
def test_other_settings_need_overwrite(source, target, options, named, remade):
    prepare(source, target)
    before = contents(target)
    with pytest.raises(PreparationError, match=named) as error:
        prepare(source, target, **options)
    assert '--overwrite' in str(error.value)
    assert contents(target) == before
    changed = changed_files(
        target, lambda: prepare(source, target, overwrite=True, **options)
    )
    assert len(changed) == remade
    fresh = target.with_name('fresh')
    prepare(source, fresh, **options)
    assert contents(fresh) == contents(target)


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('my_thesis.txt', 'precious'),
        ('manifest.json', '{"made_by": "someone else"}'),
        ('manifest.json', 'not json'),
        ('manifest.json', '[]'),
        ('progress.jsonl', ''),
        ('progress.jsonl', '[1]\n'),
    ],
)
@pytest.mark.parametrize('overwrite', [False, True])
def test_foreign_folders_are_left_alone(source, target, name, text, overwrite):
    target.mkdir()
    (target / name).write_text(text)
    with pytest.raises(PreparationError, match='not made by this tool'):
        prepare(source, target, overwrite=overwrite)
    assert contents(target) == {name: text.encode()}


@pytest.mark.parametrize('overwrite', [False, True])
def test_files_of_others_in_a_prepared_folder_stay(source, target, overwrite):
    prepare(source, target)
    mine = [
        target / kind / f'{name}.png'
        for kind in prepared_folder.FOLDERS
        for name in ('x', '0042')
    ]
    for path in [*mine, target / 'images' / 'notes.tmp']:
        path.write_text('mine')
    prepare(source, target, overwrite=overwrite, size=20 if overwrite else 30)
    frame = pd.read_csv(source / 'train.csv', dtype={'id': str})
    frame[:-1].to_csv(source / 'train.csv', index=False)  # strays are removed
    prepare(source, target, overwrite=overwrite, size=20 if overwrite else 30)
    assert not (target / 'images' / '0009.png').exists()
    for path in [*mine, target / 'images' / 'notes.tmp']:
        assert path.read_text() == 'mine'


@pytest.mark.parametrize('overwrite', [False, True])
def test_a_file_in_the_way_of_a_new_row_stays(source, target, overwrite):
    frame = pd.read_csv(source / 'train.csv', dtype={'id': str})
    frame[:-1].to_csv(source / 'train.csv', index=False)
    prepare(source, target)
    (target / 'masks' / '0009.png').write_text('mine')
    before = contents(target)
    frame.to_csv(source / 'train.csv', index=False)
    with pytest.raises(PreparationError, match=r'masks/0009\.png is in the way'):
        prepare(source, target, overwrite=overwrite)
    assert contents(target) == before


def test_an_edited_file_is_named_and_replaced_only_when_told(source, target):
    prepare(source, target)
    before = contents(target)
    (target / 'masks' / '0004.png').write_text('corrected')
    with pytest.raises(PreparationError, match=r'0004\.png was edited or damaged'):
        prepare(source, target)
    assert (target / 'masks' / '0004.png').read_text() == 'corrected'
    assert 'wrote 1 of 10' in prepare(source, target, overwrite=True)
    assert contents(target) == before


def test_a_folder_that_an_older_version_prepared_is_kept(source, target):
    prepare(source, target)
    manifest = json.loads((target / 'manifest.json').read_text(encoding='utf-8'))
    del manifest['sizes']
    (target / 'manifest.json').write_text(json.dumps(manifest))
    assert 'finished already' in prepare(source, target)


def test_a_run_killed_as_it_begins_can_be_repeated(source, target):
    target.mkdir()
    left = target / '.progress.jsonl.0123abcd.tmp'
    left.write_text('{"made_')
    (target / '.DS_Store').write_bytes(b'\0')  # Finder's, in every folder
    prepare(source, target)
    assert not left.exists()


def test_target_that_is_a_file(source, target):
    target.write_text('x')
    with pytest.raises(PreparationError, match='is a file'):
        prepare(source, target)


@pytest.mark.parametrize('workers', [0, 2])
def test_an_error_while_writing_can_be_resumed(source, target, monkeypatch, workers):
    fresh = target.with_name('fresh')
    prepare(source, fresh)
    write, calls = prepare_folder.write_png, []

    def fail_later(path, pixels):
        calls.append(path)
        if len(calls) > 14:
            raise OSError(28, 'No space left on device', str(path))
        write(path, pixels)

    monkeypatch.setattr(prepare_folder, 'write_png', fail_later)
    assert run_tool(source, target, workers) == 1  # the disk is full
    assert not (target / 'manifest.json').exists()
    monkeypatch.undo()
    done = len((target / 'progress.jsonl').read_text().splitlines()) - 1
    assert 1 <= done < 10
    with open(target / 'progress.jsonl', 'a') as file:
        file.write('{"id": "00')  # torn by a power cut
    assert f'wrote {10 - done} of 10' in prepare(source, target)
    assert contents(fresh) == contents(target)


def test_ctrl_c_is_clean(source, target, monkeypatch, capsys):
    def interrupt(path, pixels):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare_folder, 'write_png', interrupt)
    assert run_tool(source, target, 2) == 130
    assert 'run the same command again' in capsys.readouterr().err


def test_killed_run_goes_on_to_the_same_bytes(tmp_path):
    """SIGKILL a real process midway; a second run makes what one run would have."""
    source = write_source(tmp_path / 'a source', 60, (400, 400))
    target, fresh = tmp_path / 'a target', tmp_path / 'fresh'
    command = [sys.executable, TOOL, source, target, '--size', '390', '--workers', '2']
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(target.glob('masks/*.png'))) < 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (target / 'manifest.json').exists()
    assert 8 <= len(list(target.glob('masks/*.png'))) < 60
    finished = changed_files(
        target, lambda: prepare_hubmap(source, target, size=390, workers=2)
    )
    assert 0 < len(finished) < 60
    prepare_hubmap(source, fresh, size=390, workers=0)
    assert contents(fresh) == contents(target)


def test_tool_explains_without_a_traceback(source, target, monkeypatch, capsys):
    edit(source, 2, 'organ', 'liver')
    edit(source, 4, 'rle', '1')
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(source), str(target)])
    monkeypatch.syspath_prepend(TOOL.parent)
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert exit_.value.code == 2
    errors = capsys.readouterr().err
    assert 'row 2, id 0001: unknown organ' in errors
    assert 'row 4, id 0003: the RLE has an odd count' in errors
    assert not target.exists()


def test_real_copies(shared_data, target):
    source = shared_data('hubmap2022_mini')
    summary = prepare_hubmap(source, target, size=256, folds=2, resized=True)
    assert 'wrote 20 of 20 images' in summary
    frame = pd.read_csv(source / 'train.csv').set_index('id')
    for path in sorted((target / 'masks_original').iterdir()):
        row = frame.loc[int(path.stem)]
        assert rle.encode(cv2.imread(path, -1)) == row.rle
        mask = cv2.imread(target / 'masks' / path.name, -1)
        share = cv2.imread(path, -1).mean()
        assert mask.mean() == pytest.approx(share, abs=0.005)


def test_an_edited_file_of_a_removed_row_is_named_before_it_goes(source, target):
    prepare(source, target)
    (target / 'masks' / '0009.png').write_text('corrected')
    before = contents(target)
    frame = pd.read_csv(source / 'train.csv', dtype={'id': str})
    frame[:-1].to_csv(source / 'train.csv', index=False)
    with pytest.raises(PreparationError, match=r'0009\.png was edited .* no longer'):
        prepare(source, target)
    assert contents(target) == before
    prepare(source, target, overwrite=True)
    assert not (target / 'masks' / '0009.png').exists()
