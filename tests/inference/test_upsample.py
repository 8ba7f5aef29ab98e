import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmseg_ftu.inference.probability_map import ProbabilityMap
from mmseg_ftu.inference.upsample import ArrayRows, upsample_rows

SIZES = [
    ((5, 7), (5, 7)),
    ((5, 7), (10, 14)),
    ((16, 16), (61, 45)),
    ((33, 20), (100, 333)),
    ((1, 1), (9, 4)),
    ((3, 1), (8, 6)),
    ((40, 31), (17, 12)),
    ((60, 70), (25, 29)),
    ((96, 100), (20, 11)),
    ((5, 5), (1, 1)),
    ((192, 192), (750, 750)),
]


def random_map(shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).random(shape, np.float32)
    return values if dtype == np.float32 else np.rint(values * 255).astype(np.uint8)


def by_torch(probability, size, method, dtype=torch.float64):
    source = torch.from_numpy(probability).to(dtype)[None, None]
    bilinear = F.interpolate(source, size, mode='bilinear', align_corners=False)
    if method == 'bilinear':
        return bilinear[0, 0].numpy()
    return ((bilinear + F.interpolate(source, size)) / 2)[0, 0].numpy()


@pytest.mark.parametrize('method', ['bilinear', 'half_nearest'])
@pytest.mark.parametrize(('small', 'large'), SIZES)
def test_equals_torch(small, large, method):
    source = random_map(small)
    before = source.copy()
    result = upsample_rows(source, large, 0, large[0], method)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_torch(source, large, method), atol=1e-6)
    np.testing.assert_array_equal(source, before)


def test_nearest_picks_the_pixels_of_torch_in_32_bits():
    # At 125 * (768 / 3000) the exact place is 32, in 32 bits it is just below or not.
    source = np.zeros((768, 1), np.float32)
    source[:, 0] = np.arange(768) / 1000
    result = upsample_rows(source, (3000, 1), 0, 3000, 'half_nearest')
    expected = by_torch(source, (3000, 1), 'half_nearest', torch.float32)
    np.testing.assert_allclose(result, expected, atol=1e-6)  # a step is 1e-3


def test_8_bits_are_shares_of_255():
    source = random_map((9, 8), np.uint8)
    result = upsample_rows(source, (30, 21), 0, 30)
    expected = by_torch(source / 255, (30, 21), 'bilinear')
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize('method', ['bilinear', 'half_nearest'])
@pytest.mark.parametrize('dtype', [np.float32, np.uint8])
@pytest.mark.parametrize('large', [(131, 203), (16, 21), (7, 9)])
@pytest.mark.parametrize('step', [1, 7, 64])
def test_strips_equal_the_whole_exactly(method, dtype, large, step):
    source = random_map((37, 50), dtype)
    whole = upsample_rows(source, large, 0, large[0], method)
    strips = [
        upsample_rows(source, large, y, min(y + step, large[0]), method)
        for y in range(0, large[0], step)
    ]
    np.testing.assert_array_equal(np.concatenate(strips), whole)


class CountingRows(ArrayRows):
    def rows(self, y0, y1):
        self.read = (y0, y1)
        return super().rows(y0, y1)


def test_reads_the_rows_it_needs_only():
    source = CountingRows(random_map((100, 10)))
    upsample_rows(source, (1000, 10), 500, 510)
    assert source.read == (49, 52)


def test_a_map_reads_from_the_disk(tmp_path):
    source = random_map((20, 30), np.uint8)
    source.tofile(tmp_path / 'p.raw')
    on_disk = np.memmap(tmp_path / 'p.raw', np.uint8, 'r', shape=(20, 30))
    probability = ProbabilityMap(on_disk, (55, 64), threshold=0.5)
    whole = upsample_rows(source, (55, 64), 0, 55)
    np.testing.assert_array_equal(np.concatenate(list(probability.strips())), whole)
    np.testing.assert_array_equal(probability.mask().dense(0, 55), whole > 0.5)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(method='cubic'), "method 'cubic'"),
        (dict(y1=9), r'rows 0\.\.9 leave an image of 8 rows'),
        (dict(y0=4, y1=4), 'rows 4'),
        (dict(original_shape=(0, 5)), 'original_shape'),
        (dict(probability=np.zeros((2, 2, 1), np.float32)), r'\(2, 2, 1\)'),
        (dict(probability=np.zeros((0, 2), np.float32)), r'\(0, 2\)'),
        (dict(probability=np.zeros((2, 2))), 'float64'),
    ],
)
def test_refuses(arguments, message):
    good = dict(
        probability=np.zeros((2, 2), np.float32), original_shape=(8, 8), y0=0, y1=8
    )
    with pytest.raises(ValueError, match=message):
        upsample_rows(**{**good, **arguments})


@pytest.mark.parametrize(
    'wrong',
    [
        dict(threshold=1.5),
        dict(threshold=float('nan')),
        dict(pixel_size=0),
        dict(method='area'),
        dict(original_shape=(4, 0)),
    ],
)
def test_a_map_refuses(wrong):
    good = dict(
        source=np.zeros((2, 2), np.float32), original_shape=(4, 4), threshold=0.5
    )
    ProbabilityMap(**good)
    with pytest.raises(ValueError, match=str(next(iter(wrong)))):
        ProbabilityMap(**{**good, **wrong})
