"""HD95, against the formula on scipy's distance transform and by hand."""

import numpy as np
import pytest
from scipy import ndimage

from mmseg_ftu.evaluation.hd95 import hd95


def reference(a, b):
    """From each outline to the other, on the whole image, with scipy alone."""

    def outline(mask):
        return mask & ~ndimage.binary_erosion(mask, border_value=0)

    def one_way(here, there):
        to_there = ndimage.distance_transform_edt(~outline(there))
        return np.percentile(to_there[outline(here)], 95)

    return max(one_way(a, b), one_way(b, a))


def blobs(seed, shape=(90, 70), level=0.62):
    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, 4)
    return smooth > np.quantile(smooth, level)


@pytest.mark.parametrize('seed', range(5))
def test_equals_the_formula(seed):
    a, b = blobs(seed), blobs(seed + 100, level=0.8)
    before = a.copy(), b.copy()
    assert hd95(a, b) == pytest.approx(reference(a, b), rel=1e-6)
    assert hd95(b, a) == hd95(a, b)
    assert (a == before[0]).all()
    assert (b == before[1]).all()


def test_objects_far_apart_in_a_wide_empty_image():
    a, b = np.zeros((2, 400, 300), bool)
    a[5, 7] = b[105, 7] = True
    assert hd95(a, b) == 100
    b[5, 7] = True
    assert hd95(a, b) == pytest.approx(reference(a, b)) == 95  # linear between 0, 100


def test_masks_that_touch_the_border_or_fill_the_image():
    whole = np.ones((30, 40), bool)
    half = whole.copy()
    half[:, 20:] = False
    assert hd95(whole, whole) == 0
    assert hd95(whole, half) == pytest.approx(reference(whole, half))


def test_an_empty_mask_has_no_distance():
    empty, full = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    assert hd95(empty, full) is None
    assert hd95(full, empty) is None
    assert hd95(empty, empty) is None


def test_shapes_must_agree():
    with pytest.raises(ValueError, match='HD95 of shapes'):
        hd95(np.ones((2, 3), bool), np.ones((3, 2), bool))


@pytest.mark.filterwarnings('error')
def test_no_warning_reaches_the_user():
    assert hd95(blobs(1), blobs(2)) > 0
