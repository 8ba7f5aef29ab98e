"""Objects that touch: which are taken apart, and what is left of them."""

import numpy as np
import pytest
from masks_of_tests import MASKS
from run_masks import runs_of
from scipy import ndimage

from mmseg_ftu.masks.clean_objects import clean_objects
from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.split_touching import split_touching, too_large

CORNERS = np.ones((3, 3))


def discs(*circles, shape=(120, 200)):
    """Draw discs, each (row, column, radius)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    drawn = [np.hypot(y - row, x - column) < radius for row, column, radius in circles]
    return np.any(drawn, axis=0)


# two discs that overlap: the neck is 2 * sqrt(20^2 - 16^2) = 24 px wide
PAIR = discs((60, 50, 20), (60, 82, 20))
MORE = discs((60, 50, 20), (60, 82, 20), (20, 150, 15), (100, 160, 12), (100, 179, 12))


def split(mask, depth, **options):
    return split_touching(find_objects(runs_of(mask)), depth, **options)


@pytest.mark.parametrize(
    ('mask', 'depth', 'count'),
    [
        (PAIR, 4, 2),
        (PAIR, 7, 2),  # 20 - 12 = 8
        (PAIR, 9, 1),
        (PAIR, 30, 1),
        (MORE, 2, 5),
        (MORE, 3, 5),
        (discs((60, 60, 30)), 0.5, 1),
        (discs((60, 50, 20), (60, 60, 20), (60, 70, 20)), 2, 1),  # a sausage
        (discs((0, 40, 20), (0, 72, 20), (119, 199, 9)), 2, 3),  # cut by the border
    ],
)
def test_how_many_parts(mask, depth, count):
    assert len(split(mask, depth)) == count


@pytest.mark.parametrize('depth', [1, 3, 6])
@pytest.mark.parametrize('mask', [PAIR, MORE, MORE.T], ids=['pair', 'more', 'turned'])
def test_only_a_line_is_lost_and_parts_lie_apart(mask, depth):
    objects = split(mask, depth)
    left = objects.mask.part(0, 0, *mask.shape).astype(bool)
    assert not (left & ~mask).any()
    labels, count = ndimage.label(left, CORNERS)
    assert count == len(objects)
    lost = mask & ~left
    thick = ndimage.binary_erosion(lost, np.ones((3, 3)))
    assert not thick.any()
    # a line lies between two parts: each of its pixels touches both
    around = [ndimage.binary_dilation(labels == k + 1, CORNERS) for k in range(count)]
    assert (np.sum(around, axis=0)[lost] >= 2).mean() > 0.9
    assert lost.sum() < 0.02 * mask.sum() * count


def test_other_objects_are_left_as_they_are():
    whole, after = find_objects(runs_of(MORE)), split(MORE, 4)
    (alone,) = np.flatnonzero(whole.top == 6)
    (again,) = np.flatnonzero(after.top == 6)
    assert after.area[again] == whole.area[alone]


@pytest.mark.parametrize('name', MASKS)
def test_any_mask_can_be_split(name):
    mask = MASKS[name]
    left = split(mask, 0.5).mask.part(0, 0, *mask.shape).astype(bool)
    assert not (left & ~mask).any()
    assert ndimage.label(left, CORNERS)[1] >= ndimage.label(mask, CORNERS)[1]


def test_what_is_too_large_stays_whole():
    objects = find_objects(runs_of(MORE))
    assert too_large(objects, 2000).tolist() == [False, True, False]
    assert len(split(MORE, 3, most_pixels=2000)) == 4


def test_slivers_do_not_become_units():
    """A line cuts a thread off that hangs at the neck."""
    mask = PAIR.copy()
    mask[72:110, 66] = True
    assert len(split(mask, 4)) == 2


@pytest.mark.parametrize(
    'limits', [{'split_um': 2, 'pixel_size': 0.5}, {'split_px': 4}]
)
def test_depth_in_um_and_px(limits):
    assert len(clean_objects(runs_of(PAIR), **limits)) == 2
    assert len(clean_objects(runs_of(PAIR), min_area_px=2000)) == 1
    assert len(clean_objects(runs_of(PAIR), **limits, min_area_px=2000)) == 0
