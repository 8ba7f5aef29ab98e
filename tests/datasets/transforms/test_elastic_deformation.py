import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mmseg_ftu.datasets.transforms.elastic_deformation import draw_maps


def fields(shape, displacement, smoothness, seeds):
    y, x = np.mgrid[: shape[0], : shape[1]]
    for seed in seeds:
        maps = draw_maps(shape, displacement, smoothness, np.random.default_rng(seed))
        yield np.stack([maps[0] - x, maps[1] - y])


def correlation(field, lag):
    """Correlation of the field with itself, shifted by ``lag`` px along both axes."""
    pairs = [(field[..., lag:], field[..., :-lag]), (field[:, lag:], field[:, :-lag])]
    return np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])


@pytest.mark.parametrize(
    ('shape', 'displacement', 'smoothness'),
    [
        ((300, 420), 4.0, 16.0),
        ((301, 257), 2.0, 9.5),
        ((200, 200), 1.0, 1.0),
        ((200, 200), 3.0, 3.9),
    ],
)
def test_field_is_blurred_noise_of_the_given_size(shape, displacement, smoothness):
    ours = np.concatenate(list(fields(shape, displacement, smoothness, range(4))))
    assert ours.shape == (8, *shape)
    assert ours.std() == pytest.approx(displacement, rel=0.12)
    noise = np.random.default_rng(9).standard_normal((8, 2 * shape[0], 2 * shape[1]))
    slow = np.stack([gaussian_filter(plane, smoothness) for plane in noise])
    for lag in (round(smoothness), round(2 * smoothness)):
        expected = correlation(slow, lag)
        assert correlation(ours, lag) == pytest.approx(expected, abs=0.12)


def test_border_moves_like_the_middle():
    many = np.stack(list(fields((64, 96), 4.0, 16.0, range(300))))
    assert many[..., 0, :].std() == pytest.approx(4, rel=0.15)
    assert many[..., -1].std() == pytest.approx(4, rel=0.15)
    assert many[..., 32, 48].std() == pytest.approx(4, rel=0.15)
    axes = np.corrcoef(many[:, 0].ravel(), many[:, 1].ravel())[0, 1]
    assert abs(axes) < 0.1


def test_no_displacement_is_the_identity():
    x, y = draw_maps((20, 30), 0.0, 4.0, np.random.default_rng(0))
    assert x.dtype == y.dtype == np.float32
    np.testing.assert_array_equal(x, np.tile(np.arange(30), (20, 1)))
    np.testing.assert_array_equal(y, np.tile(np.arange(20)[:, None], (1, 30)))


def test_tiny_images_work():
    x, y = draw_maps((1, 3), 4.0, 16.0, np.random.default_rng(0))
    assert x.shape == y.shape == (1, 3)
