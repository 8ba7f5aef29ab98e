"""Measurements of runs against scikit-image's, and by hand."""

import numpy as np
import pytest
from masks_of_tests import MASKS, random_mask
from run_masks import runs_of
from scipy import ndimage
from skimage.measure import label, regionprops

from mmseg_ftu.masks.label_image import objects_of_labels
from mmseg_ftu.masks.measurements import measure
from mmseg_ftu.masks.objects import find_objects

NAMES = {
    'area': 'area',
    'perimeter': 'perimeter',
    'equivalent_diameter': 'equivalent_diameter_area',
    'eccentricity': 'eccentricity',
}


def assert_equal_to_skimage(objects, labels, spacing=None):
    found = measure(objects, spacing)
    props = regionprops(labels, spacing=(1, 1))
    assert len(objects) == len(props)
    for ours, theirs in NAMES.items():
        expected = [p[theirs] for p in props]
        np.testing.assert_allclose(
            getattr(found, ours), expected, atol=1e-6, err_msg=ours
        )
    centres = np.reshape([p.centroid for p in props], (-1, 2)) + 0.5
    np.testing.assert_allclose(found.centroid_y, centres[:, 0])
    np.testing.assert_allclose(found.centroid_x, centres[:, 1])
    boxes = np.reshape([p.bbox for p in props], (-1, 4))
    ours = np.stack([objects.top, objects.left, objects.bottom, objects.right], axis=1)
    np.testing.assert_array_equal(ours, boxes)


@pytest.mark.parametrize('name', MASKS)
@pytest.mark.parametrize('connectivity', [4, 8])
def test_equal_to_scikit_image(name, connectivity):
    objects = find_objects(runs_of(MASKS[name]), connectivity)
    labels = label(MASKS[name], connectivity=1 if connectivity == 4 else 2)
    assert_equal_to_skimage(objects, labels)


@pytest.mark.parametrize('count', [1, 2, 3, 7, 60])
@pytest.mark.parametrize('size', [1, 4, 12])
def test_touching_objects_of_a_label_image(count, size):
    """Random blocks of labels touch each other everywhere, and lie in pieces."""
    rng = np.random.default_rng(count)
    labels = np.kron(rng.integers(0, count + 1, (9, 11)), np.ones((size, size), int))
    labels *= random_mask(labels.shape, 0.9, seed=count)
    objects, names = objects_of_labels(labels)
    np.testing.assert_array_equal(names, np.unique(labels[labels > 0]))
    assert_equal_to_skimage(objects, labels)


def test_an_image_wider_than_a_strip():
    mask = ndimage.binary_opening(random_mask((60, 40_000), 0.7), iterations=2)
    objects, names = objects_of_labels(label(mask))
    np.testing.assert_array_equal(names, np.arange(len(objects)) + 1)
    np.testing.assert_array_equal(
        objects.area, np.bincount(label(mask).ravel())[1:], strict=True
    )


@pytest.mark.parametrize(
    ('spacing', 'unit'), [(None, np.nan), ((0.5, 0.5), 0.5), ((0.5, 0.25), np.nan)]
)
def test_physical_sizes(spacing, unit):
    mask = MASKS['rings']
    objects = find_objects(runs_of(mask))
    found, in_px = measure(objects, spacing), measure(objects)
    props = regionprops(label(mask), spacing=spacing or (1, 1))
    known = 1 if spacing else np.nan
    expected = np.array([p.area for p in props]) * known
    np.testing.assert_allclose(found.area_um2, expected)
    np.testing.assert_allclose(found.perimeter_um, in_px.perimeter * unit)
    np.testing.assert_allclose(
        found.equivalent_diameter_um,
        np.array([p.equivalent_diameter_area for p in props]) * known,
    )
    np.testing.assert_allclose(
        found.eccentricity, [p.eccentricity for p in props], atol=1e-6
    )
    is_square = spacing is None or spacing[0] == spacing[1]
    assert np.isfinite(found.circularity).all() == is_square


def test_circularity():
    y, x = np.mgrid[:400, :400] - 200
    disc, square = np.hypot(y, x) < 150, (abs(y) < 100) & (abs(x) < 100)
    # the estimator takes curves for 5 % longer than they are
    for mask, expected in ((disc, 0.907), (square, np.pi / 4)):
        (found,) = measure(find_objects(runs_of(mask))).circularity
        assert found == pytest.approx(expected, abs=0.01)
    (none,) = measure(find_objects(runs_of(MASKS['one pixel']))).circularity
    assert np.isnan(none)


@pytest.mark.parametrize('spacing', [(0, 1), (1, -1), (np.nan, 1), (np.inf, 1)])
def test_refuses_pixels_of_no_size(spacing):
    with pytest.raises(ValueError, match='pixel size'):
        measure(find_objects(runs_of(MASKS['rings'])), spacing)
