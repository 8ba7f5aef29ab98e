import numpy as np
import pytest
from masks_of_tests import MASKS, rings
from run_masks import runs_of
from scipy import ndimage

from mmseg_ftu.masks.clean_objects import clean_objects
from mmseg_ftu.masks.objects import fill_holes, find_objects, mean_probability
from mmseg_ftu.masks.run_mask import RunMask

STRUCTURE = {4: ndimage.generate_binary_structure(2, 1), 8: np.ones((3, 3))}


def in_strips(mask, rows):
    strips = (mask[y : y + rows] for y in range(0, len(mask), rows))
    return RunMask.from_strips(strips, mask.shape)


def pixels(mask):
    return np.concatenate(list(mask.strips())).astype(bool)


@pytest.mark.parametrize('name', MASKS)
@pytest.mark.parametrize('rows', [1, 7, 64])
def test_runs_keep_the_mask(name, rows):
    runs = in_strips(MASKS[name], rows)
    np.testing.assert_array_equal(pixels(runs), MASKS[name])
    np.testing.assert_array_equal(pixels(runs.gaps()), ~MASKS[name])
    assert runs.area == MASKS[name].sum()


@pytest.mark.parametrize('name', MASKS)
@pytest.mark.parametrize('rows', [1, 7, 64])
@pytest.mark.parametrize('connectivity', [4, 8])
def test_objects_equal_scipy(name, rows, connectivity):
    mask = MASKS[name]
    objects = find_objects(in_strips(mask, rows), connectivity)
    labels, count = ndimage.label(mask, STRUCTURE[connectivity])
    assert len(objects) == count
    boxes = [(b[0].start, b[0].stop, b[1].start, b[1].stop) for b in
             ndimage.find_objects(labels)]  # fmt: skip
    found = np.stack([objects.top, objects.bottom, objects.left, objects.right], axis=1)
    np.testing.assert_array_equal(found, np.reshape(boxes, (-1, 4)))
    np.testing.assert_array_equal(objects.area, np.bincount(labels.ravel())[1:])
    for k in range(min(count, 20)):
        one = objects.select(np.arange(count) == k)
        np.testing.assert_array_equal(pixels(one.mask), labels == k + 1)
    frame = np.ones(mask.shape, bool)
    frame[1:-1, 1:-1] = False
    at_border = np.isin(np.arange(1, count + 1), labels[frame])
    np.testing.assert_array_equal(objects.touches_border, at_border)


@pytest.mark.parametrize('name', MASKS)
def test_filled_holes_equal_scipy(name):
    mask = MASKS[name]
    expected = ndimage.binary_fill_holes(mask)
    np.testing.assert_array_equal(pixels(fill_holes(in_strips(mask, 7))), expected)


def test_holes_are_filled_up_to_a_size():
    mask = np.ones((12, 30), bool)
    mask[2, 2] = mask[5, 5:8] = mask[8:10, 10:13] = False  # 1, 3 and 6 px
    mask[0, 20] = False  # at the border: no hole
    for limit, holes in ((0.9, 10), (1, 9), (3, 6), (5.9, 6), (6, 0), (None, 0)):
        filled = fill_holes(in_strips(mask, 5), limit)
        assert filled.area == mask.size - holes - 1, limit


def test_an_island_joins_the_object_around_it():
    runs = in_strips(rings(), 7)
    assert len(find_objects(runs)) == 3  # in the corner, the ring, the island
    filled = clean_objects(runs, fill=True)
    y, x = np.mgrid[:40, :40] - 20
    # In the corner: a square with a hole, and with 4 px open to the border.
    assert filled.area.tolist() == [6 * 6 - 4, (np.hypot(y, x) < 18).sum()]


@pytest.mark.parametrize(
    ('limits', 'areas'),
    [
        ({}, [1, 4, 9]),
        ({'min_area_px': 4}, [4, 9]),
        ({'min_area_px': 4.1}, [9]),
        ({'min_area_um2': 1, 'pixel_size': 0.5}, [4, 9]),
        ({'min_area_um2': 1, 'min_area_px': 5, 'pixel_size': 0.5}, [9]),
        ({'min_area_um2': 100, 'pixel_size': 0.5}, []),
    ],
)
def test_small_objects_are_dropped(limits, areas):
    mask = np.zeros((20, 20), bool)
    mask[1, 1] = mask[5:7, 5:7] = mask[10:13, 10:13] = True
    objects = clean_objects(in_strips(mask, 7), **limits)
    assert objects.area.tolist() == areas
    assert objects.mask.area == sum(areas)
    assert find_objects(objects.mask).area.tolist() == areas


def test_holes_are_filled_before_objects_are_measured():
    mask = np.zeros((9, 9), bool)
    mask[1:6, 1:6] = True
    mask[2:5, 2:5] = False  # a frame of 16 px around a hole of 9 px
    runs = runs_of(mask)
    assert len(clean_objects(runs, min_area_px=20)) == 0
    assert len(clean_objects(runs, min_area_px=20, fill=True)) == 1
    closed = dict(min_area_px=20, fill=True, max_hole_um2=2, pixel_size=0.5)
    assert len(clean_objects(runs, **closed)) == 0


@pytest.mark.parametrize('rows', [1, 7, 64])
def test_mean_probability_equals_scipy(rows):
    values = np.random.default_rng(1).random((97, 130), np.float32)
    mask = values > 0.6
    mask[-1, -1] = True
    labels, count = ndimage.label(mask, STRUCTURE[8])
    strips = (values[y : y + rows] for y in range(0, len(values), rows))
    means = mean_probability(find_objects(in_strips(mask, 7)), strips)
    expected = ndimage.mean(values, labels, np.arange(1, count + 1))
    np.testing.assert_allclose(means, expected, atol=1e-6)


@pytest.mark.parametrize(
    ('limits', 'message'),
    [
        ({'min_area_um2': 5}, 'min_area_um2 5 needs the pixel size'),
        ({'max_hole_um2': 5, 'fill': True}, 'max_hole_um2 5 needs the pixel size'),
        ({'min_area_px': -1}, 'min_area_px -1'),
        ({'min_area_um2': float('nan'), 'pixel_size': 1}, 'min_area_um2 nan'),
        ({'split_um': 5}, 'split_um 5 needs the pixel size'),
        ({'split_um': 5, 'split_px': 5, 'pixel_size': 1}, 'give one of them'),
        ({'split_px': 0}, 'depth of splitting 0'),
    ],
)
def test_refuses_limits(limits, message):
    with pytest.raises(ValueError, match=message):
        clean_objects(runs_of(rings()), **limits)


@pytest.mark.parametrize(
    ('heights', 'width', 'message'),
    [
        ([4, 4], 5, 'end at row 8 of 9 x 5'),
        ([4, 6], 5, 'strip at row 4'),
        ([9], 4, r'\(9, 4\)'),
    ],
)
def test_refuses_strips_that_are_no_mask_of_that_shape(heights, width, message):
    strips = [np.zeros((height, width), bool) for height in heights]
    with pytest.raises(ValueError, match=message):
        RunMask.from_strips(strips, (9, 5))


def test_refuses_another_connectivity():
    with pytest.raises(ValueError, match='connectivity 6'):
        find_objects(runs_of(rings()), 6)
