import numpy as np
import pytest
from run_masks import runs_of

from mmseg_ftu.masks.limit_objects import LeftOut, count_points, limit_objects
from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.outlines import trace_outlines


def noise(density, shape=(60, 80)):
    return find_objects(runs_of(np.random.default_rng(0).random(shape) < density))


@pytest.mark.parametrize('density', [0, 0.05, 0.3, 0.6, 1])
def test_points_are_those_of_the_outlines(density):
    objects = noise(density)
    traced = [
        sum(len(ring) - 1 for rings in polygons for ring in rings)
        for polygons in trace_outlines(objects)
    ]
    assert count_points(objects).tolist() == traced


def test_few_objects_are_all_kept():
    objects = noise(0.1)
    kept, left_out = limit_objects(objects)
    assert kept is objects
    assert left_out is None


def test_the_largest_are_kept_in_their_order():
    objects = noise(0.2)
    kept, left_out = limit_objects(objects, 50)
    assert len(kept) == 50
    smallest = np.sort(objects.area)[-50]
    assert kept.area.min() == smallest
    assert (np.diff(kept.top) >= 0).all()
    assert left_out.objects == len(objects) - 50
    assert left_out.largest <= smallest
    assert left_out.tangled == 0


def test_an_object_of_too_many_points_is_left_out_for_them():
    mask = np.zeros((60, 60), bool)
    mask[:41:2, :50] = mask[:41, 25] = True  # a comb of more than a hundred points
    mask[50:, :] = True
    objects = find_objects(runs_of(mask))
    kept, left_out = limit_objects(objects, 1)
    assert kept.area.tolist() == [600]
    assert left_out == LeftOut(1, 0, 1, 100)


def test_points_are_limited_too():
    mask = np.zeros((90, 400), bool)
    for i in range(3):  # combs of 80 to 84 points
        mask[30 * i : 30 * i + 20, : 80 - 2 * i : 2] = True
        mask[30 * i, :80] = True
    objects = find_objects(runs_of(mask))
    points = count_points(objects)
    assert points.max() <= 200 < points.sum()
    kept, left_out = limit_objects(objects, 2)
    assert count_points(kept).sum() <= 200
    assert len(kept) == 1
    assert left_out.objects == 2
    assert left_out.tangled == 0


def test_what_is_left_out_is_said():
    left_out = LeftOut(7, 12, 1, 100)
    assert left_out.describe(9, 0.5).startswith(
        '7 of 9 objects are not in the GeoJSON: the smallest, up to 3 um2; 1 with more '
        'than 100 points each. Most often that is noise'
    )
    assert 'up to 12 px' in left_out.describe(9, None)
