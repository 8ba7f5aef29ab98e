"""The mosaic spans the data's stains, tile by tile, always in the same way."""

import tracemalloc

import numpy as np
import pytest

from mmseg_ftu.stain import (
    StainFit,
    choose_images,
    join_tiles,
    typical_tile,
    typical_tiles,
)

STAINS = np.array([[0.65, 0.70, 0.29], [0.27, 0.57, 0.78]])


def fit(strength: float) -> StainFit:
    return StainFit(None, STAINS, np.array([strength, 1.0]))


FAILED = StainFit('white')


def test_groups_take_turns_and_the_farthest_comes_next():
    fits = [fit(s) for s in (1.0, 1.1, 1.2, 3.0, 5.0, 5.1)]
    groups = ['a', 'a', 'a', 'a', 'b', 'b']
    assert choose_images(fits, groups, 5) == [1, 4, 3, 5, 0]


def test_a_small_group_starts_again_and_failures_are_left_out():
    fits = [FAILED, fit(1.0), fit(2.0), FAILED]
    chosen = choose_images(fits, ['a', 'a', 'b', 'c'], 6)
    assert chosen == [1, 2, 1, 2, 1, 2]
    with pytest.raises(ValueError, match=r'none of 2 images .*\(white\)'):
        choose_images([FAILED, FAILED], ['a', 'a'], 1)


def test_typical_tile_is_full_of_ordinary_tissue():
    rng = np.random.default_rng(0)
    image = np.full((96, 96, 3), 255, np.uint8)
    image[32:64, 64:96] = rng.integers(120, 160, (32, 32, 3))  # the full one
    image[:32, :16] = rng.integers(120, 160, (32, 16, 3))  # half glass
    image[64:70, :6] = 20  # a dark fold
    before = image.copy()
    assert np.array_equal(typical_tile(image, 32), image[32:64, 64:96])
    assert np.array_equal(typical_tile(image, 32, rank=1), image[:32, :32])
    assert np.array_equal(image, before)


@pytest.mark.parametrize('shape', [(10, 40, 3), (32, 32, 3), (33, 5, 3)])
def test_small_images_are_enlarged(shape):
    image = np.full(shape, 100, np.uint8)
    assert typical_tile(image, 32).shape == (32, 32, 3)


def test_tiles_of_a_narrow_image_are_not_of_a_huge_one():
    strip = np.full((2, 3000, 3), 100, np.uint8)
    strip[:, 2000:2002] = 150
    tracemalloc.start()
    tiles = typical_tiles(strip, 256, [0, 1499])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert [int(tile.mean()) for tile in tiles] == [100, 150]


def test_memory_for_a_large_image_is_bounded():
    image = np.full((2000, 2000, 3), 100, np.uint8)
    typical_tile(image[:64, :64])  # tables of the histogram
    tracemalloc.start()
    tile = typical_tile(image, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tile.shape == (1000, 1000, 3)
    assert peak < 60e6  # densities of the whole image would take 100 MB


def test_join_tiles():
    tiles = [np.full((2, 2, 3), i, np.uint8) for i in range(4)]
    assert join_tiles(tiles)[:, :, 0].tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [2, 2, 3, 3],
        [2, 2, 3, 3],
    ]
    with pytest.raises(ValueError, match='3 tiles make no square'):
        join_tiles(tiles[:3])
