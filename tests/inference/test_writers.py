import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from run_masks import runs_of

from mmseg_ftu.inference.writers import (
    mask_suffix,
    shrink_mask,
    write_mask,
    write_overlay,
    write_probability,
    write_submission,
)
from mmseg_ftu.io.atomic_files import remove_leftovers
from mmseg_ftu.io.images import read_mask
from mmseg_ftu.io.tiled_tiff import write_tiled_tiff
from mmseg_ftu.masks import rle
from mmseg_ftu.masks.boundary import encode_columns
from mmseg_ftu.masks.run_mask import RunMask


def random_mask(shape, density=0.4, seed=0):
    return np.random.default_rng(seed).random(shape) < density


def in_strips(array, rows):
    return (array[y : y + rows] for y in range(0, len(array), rows))


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize('rows', [1, 100, 5000])
@pytest.mark.parametrize('shape', [(1, 1), (40, 30), (512, 1024), (700, 1300)])
def test_masks_read_back(tmp_path, suffix, rows, shape):
    mask = random_mask(shape)
    path = tmp_path / f'a{suffix}'
    write_mask(path, in_strips(mask, rows), shape, 0.5)
    np.testing.assert_array_equal(read_mask(path), mask)
    stored = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, mask * np.uint8(255))
    assert os.listdir(tmp_path) == [path.name]


def test_the_tiff_is_tiled_and_says_how_large_a_pixel_is(tmp_path):
    write_mask(tmp_path / 'a.tif', [np.zeros((600, 600), bool)], (600, 600), 0.4)
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        page = file.pages[0]
        assert page.tile == (512, 512)
        assert page.compression.name == 'ADOBE_DEFLATE'
        assert page.resolutionunit.name == 'CENTIMETER'
        assert 1e4 / page.get_resolution()[0] == pytest.approx(0.4)
        assert not file.is_bigtiff


def test_above_4_gb_the_tiff_is_a_big_one(tmp_path):
    mask = random_mask((20, 20))
    strips = iter([mask.astype(np.uint8)])
    write_tiled_tiff(tmp_path / 'a.tif', strips, mask.shape, None, big_from=100)
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        assert file.is_bigtiff
    np.testing.assert_array_equal(read_mask(tmp_path / 'a.tif'), mask)


@pytest.mark.parametrize(
    ('shape', 'suffix'),
    [((8192, 8192), '.png'), ((8193, 10), '.tif'), ((10, 8193), '.tif')],
)
def test_large_masks_are_tiffs(tmp_path, shape, suffix):
    assert mask_suffix(shape) == suffix
    if suffix == '.tif':
        with pytest.raises(ValueError, match=r'8192 px of a PNG; write a \.tif'):
            write_mask(tmp_path / 'a.png', [np.zeros(shape, bool)], shape)
        assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('rows', [1, 64, 999])
def test_probabilities_are_rounded_to_8_bits(tmp_path, rows):
    values = np.random.default_rng(0).random((530, 700), np.float32)
    values[0, :3] = 0, 1, 0.5
    before = values.copy()
    write_probability(tmp_path / 'p.tif', in_strips(values, rows), values.shape, 2)
    np.testing.assert_array_equal(values, before)
    stored = tifffile.imread(tmp_path / 'p.tif')
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, np.rint(255 * values))
    write_probability(tmp_path / 'q.tif', [stored], values.shape)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / 'q.tif'), stored)


MASKS = {
    'empty': np.zeros((6, 4), bool),
    'full': np.ones((6, 4), bool),
    'one pixel': np.ones((1, 1), bool),
    'goes on at the top of the next column': np.tri(6, 4, dtype=bool),
    'one row': random_mask((1, 30)),
    'one column': random_mask((30, 1)),
    **{f'noise {d}': random_mask((61, 83), d) for d in (0.01, 0.3, 0.5, 0.9)},
}


@pytest.mark.parametrize('name', MASKS)
def test_rle_of_runs_equals_the_rle_of_pixels(name):
    mask = MASKS[name]
    text = encode_columns(RunMask.from_strips(in_strips(mask, 5), mask.shape))
    assert text == rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(text, mask.shape), mask)


def test_rle_of_real_masks(shared_data):
    import pandas as pd

    table = pd.read_csv(shared_data('hubmap2022_mini') / 'train.csv')
    assert len(table) >= 2
    for row in table.itertuples():
        mask = rle.decode(row.rle, (row.img_height, row.img_width))
        assert encode_columns(runs_of(mask)) == rle.encode(mask)


def test_submission_keeps_the_order_of_the_table(tmp_path):
    path = tmp_path / 'submission.csv'
    write_submission(path, [('10078', '1 2'), ('999', ''), ('b,"', '3 1'), ('a', '')])
    assert path.read_bytes() == b'id,rle\n10078,1 2\n999,\n"b,""",3 1\na,\n'
    with path.open(newline='') as file:
        assert list(csv.reader(file))[3:] == [['b,"', '3 1'], ['a', '']]
    with pytest.raises(ValueError, match="'7' comes twice"):
        write_submission(path, [('7', ''), ('8', ''), ('7', '1 1')])
    assert path.read_bytes().startswith(b'id,rle\n10078')


def test_the_overlay_outlines_the_mask(tmp_path):
    image = np.full((200, 300, 3), 200, np.uint8)
    before = image.copy()
    mask = np.zeros((2000, 3000), bool)  # of the original, ten times as large
    mask[500:1000, 600:1500] = True
    path = tmp_path / 'a.jpg'
    write_overlay(path, image, runs_of(mask), colour=(255, 0, 0))
    np.testing.assert_array_equal(image, before)
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    assert picture.shape == image.shape
    red = picture[..., 0] - picture[..., 1] > 60
    ys, xs = np.nonzero(red)
    # JPEG blurs colours over two pixels.
    np.testing.assert_allclose([ys.min(), ys.max()], [50, 99], atol=2)
    np.testing.assert_allclose([xs.min(), xs.max()], [60, 149], atol=2)
    assert not red[56:94, 66:144].any()


def test_the_overlay_is_at_most_2048_px(tmp_path):
    mask = runs_of(np.zeros((30, 90), bool))
    write_overlay(tmp_path / 'a.jpg', np.zeros((1000, 3000, 3), np.uint8), mask)
    assert cv2.imread(str(tmp_path / 'a.jpg')).shape == (683, 2048, 3)


@pytest.mark.parametrize('shape', [(7, 9), (20, 10), (61, 83), (100, 200)])
def test_no_object_is_lost_when_a_mask_shrinks(shape):
    mask = random_mask((61, 83), 0.02)
    small = shrink_mask(runs_of(mask), shape)
    # Independent: pixels of a common multiple of both sizes, the largest of each block.
    fine = mask.repeat(shape[0], 0).repeat(shape[1], 1)
    blocks = fine.reshape(shape[0], mask.shape[0], shape[1], mask.shape[1])
    np.testing.assert_array_equal(small, blocks.max(axis=(1, 3)))


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda p: write_mask(p / 'a.jpg', [np.zeros((2, 2))], (2, 2)), r'\.png or'),
        (lambda p: write_mask(p / 'a.tif', [np.zeros((2, 2))], (3, 2)), 'row 2 of 3'),
        (lambda p: write_mask(p / 'a.png', [np.zeros((2, 2))], (2, 3)), r'\(2, 2\)'),
        (lambda p: write_probability(p / 'a.png', [], (2, 2)), r'written as \.tif'),
        (lambda p: write_overlay(p / 'a.png', None, None), r'written as \.jpg'),
        (lambda p: write_overlay(p / 'a.jpg', np.zeros((2, 2)), None), r'\(2, 2\)'),
    ],
)
def test_refuses_and_leaves_nothing(tmp_path, call, message):
    with pytest.raises(ValueError, match=message):
        call(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('width', [600, 5000])  # the latter has smaller levels
def test_a_kill_half_way_leaves_the_old_file(tmp_path, width):
    path = tmp_path / 'a.tif'
    write_mask(path, [np.ones((600, 600), bool)], (600, 600))
    before = path.read_bytes()
    program = f"""
import os, signal
import numpy as np
from pathlib import Path
from mmseg_ftu.inference.writers import write_mask

def strips():
    yield np.ones((600, {width}), bool)
    os.kill(os.getpid(), signal.SIGKILL)

write_mask(Path({str(path)!r}), strips(), (1200, {width}))
"""
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run([sys.executable, '-c', program], cwd=root, check=False)
    assert killed.returncode == -9
    assert path.read_bytes() == before
    assert len(os.listdir(tmp_path)) == 2  # it had begun to write, in one other file
    write_mask(path, [np.zeros((600, 600), bool)], (600, 600))
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ['a.tif']
