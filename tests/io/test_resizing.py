import numpy as np
import pytest

from mmseg_ftu.io.resizing import resize_image, resize_mask, target_shape


@pytest.mark.parametrize(
    ('shape', 'size', 'expected'),
    [
        ((3000, 3000), 768, (768, 768)),
        ((3000, 2000), 768, (768, 512)),
        ((2000, 3001), 768, (512, 768)),
        ((252, 252), 768, (768, 768)),
        ((5000, 2), 100, (100, 1)),
        ((261, 387), None, (261, 387)),
    ],
)
def test_target_shape(shape, size, expected):
    assert target_shape(shape, size) == expected


def overlaps(source, target):
    """Return how much of each source pixel every target pixel covers, (T, S)."""
    edges = np.arange(target + 1) * source / target
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)
    return np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None)


def area_share(area, shape):
    """Average over exact areas in double precision."""
    rows, columns = overlaps(area.shape[0], shape[0]), overlaps(area.shape[1], shape[1])
    return rows @ area @ columns.T / (rows.sum(1)[:, None] * columns.sum(1))


def blobs(shape, seed=0):
    generator = np.random.default_rng(seed)
    coarse = generator.random((9, 9)) < 0.5
    y = np.linspace(0, 8.99, shape[0]).astype(int)
    x = np.linspace(0, 8.99, shape[1]).astype(int)
    return coarse[np.ix_(y, x)].astype(np.uint8)


@pytest.mark.parametrize('shape', [(64, 48), (50, 37), (31, 31), (13, 90)])
def test_mask_is_the_majority_of_the_area(shape):
    mask = blobs((192, 144))
    share = area_share(mask, shape)
    resized = resize_mask(mask, shape)
    assert resized.dtype == np.uint8
    assert set(np.unique(resized)) == {0, 1}
    clear = np.abs(share - 0.5) > 0.005  # cv2 averages in 255ths
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(resized[clear], (share >= 0.5)[clear])


def test_half_is_foreground():
    mask = np.array([[1, 0, 1, 1], [1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1]], np.uint8)
    np.testing.assert_array_equal(resize_mask(mask, (2, 2)), [[1, 1], [0, 1]])


def test_mask_and_image_stay_aligned():
    """The same disc as image and as mask agree after resizing, as nearest doesn't."""
    y, x = np.mgrid[:300, :300]
    disc = ((y - 140) ** 2 + (x - 155) ** 2 < 90**2).astype(np.uint8)
    image, mask = resize_image(disc * 255, (77, 77)), resize_mask(disc, (77, 77))
    np.testing.assert_array_equal(mask, image >= 128)


@pytest.mark.parametrize(
    ('block', 'expected'),
    [
        ([1, 1, 255, 255], 255),
        ([1, 1, 1, 255], 1),
        ([0, 0, 0, 255], 0),
        ([0, 1, 1, 255], 1),
        ([0, 0, 1, 255], 0),
        ([0, 1, 255, 255], 255),
        ([0, 0, 1, 1], 1),
    ],
)
def test_ignored_areas(block, expected):
    mask = np.array(block, np.uint8).reshape(2, 2)
    assert resize_mask(mask, (1, 1)) == [[expected]]


def test_ignore_makes_no_values_between():
    mask = blobs((100, 100))
    mask[30:60, 20:70] = 255
    for shape in [(37, 41), (150, 170)]:
        resized = resize_mask(mask, shape)
        assert set(np.unique(resized)) == {0, 1, 255}
        share = (resized == 255).mean()
        assert share == pytest.approx(0.15, abs=0.01)


def test_growing_keeps_areas():
    mask = blobs((60, 60))
    assert resize_mask(mask, (200, 200)).mean() == pytest.approx(mask.mean(), abs=0.02)
    image = np.dstack([mask * 200 + 20] * 3)
    grown = resize_image(image, (200, 200))
    assert grown.shape == (200, 200, 3)
    assert (grown.min(), grown.max()) == (20, 220)  # no ringing


def test_equal_size_is_exact_and_inputs_are_not_changed():
    mask, image = (
        blobs((40, 30)),
        np.random.default_rng(0).integers(0, 255, (40, 30, 3)),
    )
    image = image.astype(np.uint8)
    before = mask.copy(), image.copy()
    np.testing.assert_array_equal(resize_mask(mask, (40, 30)), mask)
    np.testing.assert_array_equal(resize_image(image, (40, 30)), image)
    resize_mask(mask, (20, 15))
    resize_image(image, (20, 15))
    np.testing.assert_array_equal(mask, before[0])
    np.testing.assert_array_equal(image, before[1])
