"""Layers of an image, decoded again from the page's data URIs."""

import base64

import cv2
import numpy as np
import pytest
import tifffile

from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.report.pictures import coverage, draw_picture, read_small


def decode(uri):
    kind, data = uri.split(',')
    assert kind in ('data:image/png;base64', 'data:image/jpeg;base64')
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), -1)


@pytest.mark.parametrize(
    ('mask', 'levels'),
    [
        ([[1, 1], [1, 1]], 254),
        ([[0, 0], [0, 0]], 0),
        ([[1, 0], [0, 0]], 64),
        ([[1, 0], [255, 255]], 127),
        ([[1, 255], [255, 255]], 255),
    ],
)
def test_coverage_is_the_share_of_pixels_that_are_seen(mask, levels):
    mask = np.array(mask, np.uint8)
    before = mask.copy()
    assert int(coverage(mask, (1, 1))[0, 0]) == pytest.approx(levels, abs=1)
    assert (coverage(mask, (1, 1)) == 255).all() == (levels == 255)
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize(('longer', 'size'), [(40, (40, 30)), (512, (80, 60))])
def test_layers_have_one_size_and_their_files_values(make_predictions, longer, size):
    folder, truth = make_predictions(n=1)
    picture = draw_picture('case 0', open_masks(folder), open_masks(truth), longer)
    assert (picture.width, picture.height) == size
    layers = {name: decode(getattr(picture, name)) for name in picture._fields[2:6]}
    assert {layer.shape[:2] for layer in layers.values()} == {size[::-1]}
    stored = tifffile.imread(folder / 'probabilities' / 'case 0.tif').astype(float)
    mean = stored.mean()
    assert layers['probability'].mean() == pytest.approx(mean, abs=0.5)
    if longer == 512:
        np.testing.assert_array_equal(layers['probability'], stored)
        mask = cv2.imread(str(truth / 'case 0.png'), -1)
        np.testing.assert_array_equal(layers['mask'], 254 * mask)
    image = cv2.imread(str(folder / 'images' / 'case 0.png'))
    assert abs(layers['tissue'].mean((0, 1)) - image.mean((0, 1))).max() < 3


def test_probabilities_of_another_size_are_brought_to_it(make_predictions):
    folder, _ = make_predictions(n=1)
    small = np.repeat(np.array([[0, 255]], np.uint8), 2, axis=0)
    tifffile.imwrite(folder / 'probabilities' / 'case 0.tif', small)
    picture = draw_picture('case 0', open_masks(folder), None, 512)
    levels = decode(picture.probability)
    assert levels.shape == (60, 80)
    assert levels[:, :20].max() == 0
    assert levels[:, 60:].min() == 255
    assert picture.mask == ''


@pytest.mark.parametrize('damage', ['missing', 'truncated'])
def test_an_image_that_cannot_be_read_says_why(make_predictions, damage):
    folder, _ = make_predictions(n=1)
    path = folder / 'images' / 'case 0.png'
    if damage == 'missing':
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:300])
    picture = draw_picture('case 0', open_masks(folder), None, 512)
    assert picture.tissue == ''
    assert str(path) in picture.fault


def test_pyramids_are_read_at_a_small_level(tmp_path):
    path = tmp_path / 'slide.tif'
    with tifffile.TiffWriter(path) as file:
        options = dict(photometric='rgb', tile=(64, 64))
        file.write(np.full((512, 768, 3), 10, np.uint8), subifds=2, **options)
        for i, value in ((2, 20), (4, 30)):
            level = np.full((512 // i, 768 // i, 3), value, np.uint8)
            file.write(level, subfiletype=1, **options)
    small = read_small(path, (150, 100))
    assert small.shape == (100, 150, 3)
    assert small.max() == 30
    assert read_small(path, (200, 133)).max() == 20
    assert read_small(path, (768, 512)).max() == 10
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r'slide\.tif'):
        read_small(path, (150, 100))
