import cv2
import numpy as np
import pytest
import shapely
from run_masks import runs_of

from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.outlines import trace_outlines
from mmseg_ftu.masks.smooth_outlines import smooth_outlines

STEP = 0.05  # px between the points at which distances are measured


def shape_of(polygons):
    parts = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def outlines_of(mask, deviation):
    exact = list(trace_outlines(find_objects(runs_of(mask))))
    smooth = list(smooth_outlines(exact, deviation))
    assert len(exact) == len(smooth)
    return [
        (shape_of(one), shape_of(other))
        for one, other in zip(exact, smooth, strict=True)
    ]


def distance(one, other):
    """Return the largest distance of the boundaries, either way, to STEP / 2."""
    there = one.boundary, other.boundary
    return max(
        shapely.distance(
            shapely.points(shapely.get_coordinates(shapely.segmentize(a, STEP))), b
        ).max()
        for a, b in (there, there[::-1])
    )


def blurred_noise(seed, sigma, share):
    noise = np.random.default_rng(seed).standard_normal((90, 110))
    noise = cv2.GaussianBlur(noise, (0, 0), sigma)
    return noise > np.quantile(noise, 1 - share)


def ellipse():
    mask = np.zeros((200, 300), np.uint8)
    cv2.ellipse(mask, (150, 100), (120, 70), 30, 0, 360, 1, -1)
    cv2.circle(mask, (140, 90), 25, 0, -1)
    return mask > 0


def hole_in_a_bump():
    """A square with a bump that is left out where it holds nothing."""
    mask = np.zeros((120, 120), bool)
    mask[5:105, 5:105] = mask[40:70, 105:108] = True
    mask[45:65, 95:107] = False
    return mask


MASKS = {
    'a hole that would lie outside': hole_in_a_bump(),
    'a gland with a hole': ellipse(),
    'single pixels': np.random.default_rng(0).random((40, 50)) < 0.1,
    'noise': np.random.default_rng(0).random((40, 50)) < 0.5,
    'blots': blurred_noise(1, 2, 0.5),
    'blots that are mostly holes': blurred_noise(2, 1.5, 0.7),
    'checkers': np.indices((9, 9)).sum(0) % 2 == 0,
    'thin lines': np.kron(np.eye(12, dtype=bool), np.ones((1, 5), bool)),
}


@pytest.mark.parametrize('deviation', [0.7, 1.5, 4.0])
@pytest.mark.parametrize('name', MASKS)
def test_no_point_is_farther_than_said_and_the_topology_stays(name, deviation):
    for exact, smooth in outlines_of(MASKS[name], deviation):
        assert smooth.is_valid, shapely.is_valid_reason(smooth)
        assert distance(exact, smooth) <= deviation + 1e-9
        assert abs(smooth.area - exact.area) <= 0.05 * exact.area
        for one, other in zip(
            shapely.get_parts(exact), shapely.get_parts(smooth), strict=True
        ):
            assert len(one.interiors) == len(other.interiors)
            assert other.exterior.is_ccw  # RFC 7946
            assert not any(hole.is_ccw for hole in other.interiors)


def test_a_tenth_of_the_points_is_left_of_a_gland():
    ((exact, smooth),) = outlines_of(MASKS['a gland with a hole'], 1.5)
    count = shapely.get_num_coordinates
    assert count(smooth) < 0.1 * count(exact)


def test_many_objects_come_in_their_order():
    mask = np.zeros((3 * 40, 4 * 40), bool)
    mask[::3, ::4] = mask[::3, 1::4] = True  # 1600 objects, several batches
    for exact, smooth in outlines_of(mask, 1.5):
        assert exact.equals(smooth)  # too small to lose a point


def test_nothing_gives_nothing():
    assert not list(smooth_outlines([], 1.5))


def test_real_glands(shared_data):
    folder = shared_data('glas_bench') / 'masks'
    before = after = area = changed = 0.0
    for path in sorted(folder.iterdir())[:12]:
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0
        for exact, smooth in outlines_of(mask, 1.5):
            assert smooth.is_valid
            before += shapely.get_num_coordinates(exact)
            after += shapely.get_num_coordinates(smooth)
            area += exact.area
            changed += abs(smooth.area - exact.area)
    assert before > 1000
    assert after < 0.15 * before  # of 261 x 387 px; larger ones keep less
    assert changed < 0.005 * area
