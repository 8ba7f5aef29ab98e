import numpy as np
import pytest
import shapely
from masks_of_tests import MASKS
from run_masks import runs_of
from shapely.affinity import translate

from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.outlines import trace_outlines

SHAPE = (60, 80)


def filled(outlines, shape=SHAPE, **options):
    mask = fill_polygons(outlines, shape, **options)
    pixels = np.concatenate([*mask.strips()])
    apart = (np.diff(mask.rows) > 0) | (mask.starts[1:] > mask.stops[:-1])
    assert apart.all()  # what a RunMask promises of its runs
    np.testing.assert_array_equal(pixels, mask.part(0, 0, *shape))
    return pixels


def centres_in(outline, shape=SHAPE):
    """Ask shapely for the centre of each pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(outline, x, y)


def blob(seed, points=30):
    """Return a random star around (40, 30), which reaches beyond the image."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, points))
    ring = rng.uniform(4, 50, points)[:, None] * np.stack(
        [np.cos(angle), np.sin(angle)], axis=1
    )
    return shapely.make_valid(shapely.Polygon(ring + [40, 30]))


@pytest.mark.parametrize('seed', range(8))
@pytest.mark.parametrize('with_hole', [False, True])
def test_a_pixel_is_in_where_its_centre_is(seed, with_hole):
    outline = blob(seed)
    if with_hole:
        outline = outline.difference(translate(blob(seed + 50), 3, 5).buffer(-2))
    np.testing.assert_array_equal(filled([outline]), centres_in(outline))


def test_overlapping_objects_are_one():
    outlines = [blob(seed) for seed in range(5)]
    expected = np.any([centres_in(outline) for outline in outlines], axis=0)
    np.testing.assert_array_equal(filled(outlines), expected)
    np.testing.assert_array_equal(filled(outlines, at_once=50), expected)
    np.testing.assert_array_equal(filled([shapely.union_all(outlines)]), expected)


def test_neighbours_share_no_pixel_and_leave_none_between():
    """Also where corners and edges run through the centres of pixels."""
    rng = np.random.default_rng(0)
    points = rng.integers(0, 2 * 80, (60, 2)) / 2
    corners = [[0, 0], [80, 0], [80, 60], [0, 60]]
    cover = shapely.multipoints(np.concatenate([points, corners]))
    triangles = shapely.get_parts(shapely.delaunay_triangles(cover))
    inside = triangles[shapely.intersects(triangles, shapely.box(0, 0, 80, 60))]
    total = sum(filled([triangle]).astype(int) for triangle in inside)
    assert (total == 1).all()


@pytest.mark.parametrize('name', MASKS)
def test_outlines_of_a_mask_make_the_same_mask(name):
    mask = MASKS[name]
    polygons = [
        shapely.MultiPolygon([(rings[0], rings[1:]) for rings in polygons])
        for polygons in trace_outlines(find_objects(runs_of(mask)))
    ]
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)


@pytest.mark.parametrize(
    ('outline', 'count'),
    [
        (shapely.box(2, 3, 5, 7), 12),
        (shapely.box(2.5, 3.5, 5.5, 7.5), 12),  # centres on two sides are in
        (shapely.box(2.6, 3.6, 3.4, 4.4), 0),
        (shapely.box(-10, -10, 100, 100), 60 * 80),
        (shapely.box(-10, -10, 3, 2), 6),
        (shapely.box(100, 100, 120, 120), 0),
        (shapely.box(78, 58, 120, 120), 4),
    ],
)
def test_places(outline, count):
    assert filled([outline]).sum() == count


def test_nothing_to_fill():
    assert not filled([]).any()


def test_part():
    pixels = filled([blob(1)])
    mask = fill_polygons([blob(1)], SHAPE)
    for top, left, height, width in [(0, 0, 60, 80), (10, 20, 30, 40), (59, 79, 1, 1)]:
        expected = pixels[top : top + height, left : left + width]
        np.testing.assert_array_equal(mask.part(top, left, height, width), expected)
