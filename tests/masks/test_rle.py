import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.masks import rle


def slow_encode(mask):
    """Walk pixel by pixel, down each column: the definition, not our method."""
    runs, count = [], 0
    height, width = mask.shape
    for position in range(height * width):
        if mask[position % height, position // height]:
            if not count:
                runs.append(str(position + 1))
            count += 1
        elif count:
            runs.append(str(count))
            count = 0
    if count:
        runs.append(str(count))
    return ' '.join(runs)


def slow_decode(string, shape):
    height = shape[0]
    mask = np.zeros(shape, int)
    numbers = [int(token) for token in string.split()]
    for start, length in zip(numbers[0::2], numbers[1::2], strict=True):
        for position in range(start - 1, start - 1 + length):
            mask[position % height, position // height] = 1
    return mask


@pytest.mark.parametrize(
    ('mask', 'expected'),
    [
        ([[0, 0], [0, 0]], ''),
        ([[1, 1], [1, 1]], '1 4'),
        ([[1, 0], [0, 0]], '1 1'),
        ([[0, 1], [0, 0]], '3 1'),  # top of the second column
        ([[0, 0], [1, 0]], '2 1'),  # bottom of the first
        ([[0, 0], [0, 1]], '4 1'),
        ([[0, 1], [1, 0]], '2 2'),  # a run goes on at the top of the next column
        ([[1, 0, 1]], '1 1 3 1'),
        ([[1], [0], [1]], '1 1 3 1'),
    ],
)
def test_hand_made(mask, expected):
    mask = np.array(mask, np.uint8)
    assert rle.encode(mask) == expected
    decoded = rle.decode(expected, mask.shape)
    np.testing.assert_array_equal(decoded, mask)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous


@pytest.mark.parametrize('seed', range(40))
def test_random_masks_agree_with_the_slow_reference(seed):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(1, 24, 2))
    mask = (generator.random(shape) < generator.random()).astype(np.uint8)
    string = rle.encode(mask)
    assert string == slow_encode(mask)
    np.testing.assert_array_equal(rle.decode(string, shape), mask)
    np.testing.assert_array_equal(slow_decode(string, shape), mask)


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.int64, np.float32])
def test_encode_takes_any_dtype_and_leaves_it_alone(dtype):
    mask = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    mask.flags.writeable = False
    assert rle.encode(mask) == rle.encode(mask.astype(np.uint8)) == '2 2 5 1'


@pytest.mark.parametrize('view', ['transposed', 'strided', 'reversed'])
def test_encode_takes_views(view):
    whole = (np.random.default_rng(1).random((20, 30)) < 0.5).astype(np.uint8)
    mask = {
        'transposed': whole.T,
        'strided': whole[::2, ::3],
        'reversed': whole[::-1, ::-1],
    }[view]
    assert rle.encode(mask) == slow_encode(mask)


@pytest.mark.parametrize(
    ('mask', 'message'),
    [
        (np.zeros((2, 2, 1), np.uint8), r'shape \(2, 2, 1\)'),
        (np.zeros(4, np.uint8), r'shape \(4,\)'),
        (np.array([[0, 255]], np.uint8), '255'),
        (np.array([[0, 2]], np.int64), '2'),
        (np.array([[0, -1]], np.int64), 'other than 0 and 1'),
        (np.array([[0, 256]], np.int64), 'other than 0 and 1'),
        (np.array([[0, 0.5]]), 'other than 0 and 1'),
    ],
)
def test_encode_refuses(mask, message):
    with pytest.raises(ValueError, match=message):
        rle.encode(mask)


@pytest.mark.parametrize(
    ('string', 'message'),
    [
        ('1', r'odd count of numbers \(1\)'),
        ('1 1 3', r'odd count .* the last start, 3,'),
        ('1 1 x 2', "pair 2 of the RLE: 'x' is not a whole number"),
        ('1 1.5', "pair 1 of the RLE: '1.5'"),
        ('1 1 -3 2', "pair 2 of the RLE: '-3'"),
        ('1_0 1', "'1_0'"),
        ('+1 1', r"'\+1'"),
        ('\u0661 1', 'whole number'),
        ('nan', "'nan'"),
        ('0 1', r"pair 1 of the RLE \('0 1'\): the start is below 1"),
        ('1 1 3 0', r"pair 2 of the RLE \('3 0'\): the length is below 1"),
        ('13 1', r'out of range, it ends at pixel 13 of a 3 x 4 mask'),
        ('12 2', 'out of range'),
        ('1 99999999999999999999999', 'out of range'),
        ('5 2 1 1', r"pair 2 .* unsorted, it starts before pair 1 \('5 2'\)"),
        ('1 3 3 1', r"pair 2 .* overlaps pair 1 \('1 3'\)"),
        ('1 3 1 3', 'overlaps'),
        (None, 'not a string'),
        (float('nan'), 'not a string'),
    ],
)
def test_decode_refuses(string, message):
    with pytest.raises(ValueError, match=message):
        rle.decode(string, (3, 4))


@pytest.mark.parametrize('shape', [(0, 3), (3, 0), (-1, 3)])
def test_decode_refuses_shapes(shape):
    with pytest.raises(ValueError, match='at least 1 px'):
        rle.decode('', shape)


def test_touching_runs_decode_and_are_merged_by_encode():
    mask = rle.decode('2 2 4 3', (3, 4))
    assert rle.encode(mask) == '2 5'


@pytest.mark.slow
def test_all_real_rows_round_trip(shared_data):
    frame = pd.read_csv(shared_data('hubmap2022') / 'train.csv.gz')
    assert len(frame) == 351
    for row in frame.itertuples():
        mask = rle.decode(row.rle, (row.img_height, row.img_width))
        assert rle.encode(mask) == row.rle, row.id
        assert mask.sum() == sum(map(int, row.rle.split()[1::2])), row.id
