import cv2
import numpy as np
import pytest
import shapely

from mmseg_ftu.io.resizing import resize_mask
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.preparation.slide_labels import SlideLabels

FULL = (300, 420)


def discs(seed, count=12, radius=30):
    rng = np.random.default_rng(seed)
    points = shapely.points(rng.uniform(0, FULL[::-1], (count, 2)))
    return list(shapely.buffer(points, rng.uniform(3, radius, count)))


def whole(outlines):
    return np.concatenate([*fill_polygons(outlines, FULL).strips()])


RINGS = [disc.difference(shapely.affinity.scale(disc, 0.5, 0.6)) for disc in discs(0)]
BOXES = [shapely.box(20, 20, 200, 150), shapely.box(200, 100, 390.5, 280.25)]


@pytest.fixture(params=['units', 'ignored', 'regions', 'both'])
def labels(request):
    """Return labels, and the same as an array made without them."""
    with_ignored = request.param in ('ignored', 'both')
    with_regions = request.param in ('regions', 'both')
    ignored = discs(1, 5) if with_ignored else []
    expected = whole(RINGS)
    if with_regions:
        expected[whole(BOXES) == 0] = 255
    if with_ignored:
        expected[whole(ignored) == 1] = 255
    regions = BOXES if with_regions else None
    return SlideLabels.fill(FULL, RINGS, ignored, regions), expected


def test_full_size(labels):
    labels, expected = labels
    np.testing.assert_array_equal(labels.part(0, 0, *FULL), expected)
    np.testing.assert_array_equal(labels.resized_part(FULL, (0, 0, *FULL)), expected)
    part = labels.part(50, 60, 70, 80)
    np.testing.assert_array_equal(part, expected[50:120, 60:140])


def undecided(everything, shape):
    """Tell where shares are a half, so that noise of floating point decides."""
    unit, ignored = (
        cv2.resize(
            (everything == label) * 1.0, shape[::-1], interpolation=cv2.INTER_AREA
        )
        for label in (1, 255)
    )
    is_tie = (abs(2 * unit + ignored - 1) < 1e-4) & (ignored < 0.5)
    return is_tie | (abs(ignored - 0.5) < 1e-4)


@pytest.mark.parametrize('scale', [2, 3, 4, 20, 1.37, 2.51, 7.9])
def test_tiles_are_those_of_the_resized_mask(labels, scale):
    """The rule of images: resize_mask brings a whole mask to training size."""
    labels, everything = labels
    shape = round(FULL[0] / scale), round(FULL[1] / scale)
    expected = resize_mask(everything, shape)
    is_open = undecided(everything, shape) & (scale % 1 > 0)
    assert is_open.mean() < 0.05
    side = 1 + shape[0] // 3
    for top in range(0, shape[0], side):
        for left in range(0, shape[1], side):
            box = top, left, min(side, shape[0] - top), min(side, shape[1] - left)
            found = labels.resized_part(shape, box, at_once=3000)
            place = slice(top, top + side), slice(left, left + side)
            decided = ~is_open[place]
            np.testing.assert_array_equal(found[decided], expected[place][decided])


def test_a_slide_that_is_enlarged(labels):
    labels, everything = labels
    shape = FULL[0] * 2, FULL[1] * 2
    found = labels.resized_part(shape, (0, 0, *shape))
    assert (found != resize_mask(everything, shape)).mean() < 1e-4


def test_touching_units_leave_no_gap():
    halves = [shapely.box(10, 10, 50.5, 90), shapely.box(50.5, 10, 95, 90)]
    both = SlideLabels.fill((100, 100), halves)
    one = SlideLabels.fill((100, 100), [shapely.box(10, 10, 95, 90)])
    for shape in [(100, 100), (50, 50), (33, 33)]:
        found, expected = (x.resized_part(shape, (0, 0, *shape)) for x in (both, one))
        np.testing.assert_array_equal(found, expected)


def test_regions_without_any_leave_nothing():
    nothing = SlideLabels.fill(FULL, RINGS, regions=[])
    assert (nothing.part(0, 0, *FULL) == 255).all()
