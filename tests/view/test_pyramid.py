"""Tiles at each halved size, of arrays and of files with and without smaller levels."""

import numpy as np
import pytest
import tifffile

from mmseg_ftu.io.grey_regions import open_grey_regions
from mmseg_ftu.io.sources import ArraySource, Limits, open_source
from mmseg_ftu.io.tiled_tiff import write_tiled_tiff
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.view.layers import GreyArray, GreyRuns, open_mask
from mmseg_ftu.view.pyramid import LARGE, TILE, Pyramid


def blob(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((np.sin(y / 97) + np.cos(x / 61)) > 0.4).astype(np.uint8) * np.uint8(255)


def halved(pixels, level):
    """Return the means of 2^level squares, those at the border of what is there."""
    side = 2**level
    height, width = (-(-n // side) * side for n in pixels.shape)
    padded = np.pad(
        pixels, [(0, height - pixels.shape[0]), (0, width - pixels.shape[1])], 'edge'
    )
    shape = height // side, side, width // side, side
    return padded.reshape(shape).mean(axis=(1, 3))


def whole(pyramid, level):
    """Put the tiles of a level together."""
    height, width = pyramid.shapes[level]
    rows = [
        np.concatenate(
            [pyramid.tile(level, x, y) for x in range(-(-width // TILE))], axis=1
        )
        for y in range(-(-height // TILE))
    ]
    return np.concatenate(rows)


@pytest.mark.parametrize('shape', [(1, 1), (512, 512), (513, 700), (1300, 2050)])
def test_levels_halve_until_a_tile_holds_all(shape):
    pyramid = Pyramid(GreyArray(blob(shape)))
    assert pyramid.shapes[0] == shape
    assert max(pyramid.shapes[-1]) <= TILE
    for level, size in enumerate(pyramid.shapes):
        assert size == tuple(-(-n // 2**level) for n in shape)
        assert whole(pyramid, level).shape == size
        differ = abs(whole(pyramid, level) - halved(blob(shape), level))
        assert differ[:-1, :-1].max(initial=0) <= 1  # the last may be parts of pixels
    assert pyramid.tile(0, 9, 0) is None
    assert pyramid.tile(len(pyramid.shapes), 0, 0) is None


@pytest.mark.parametrize('kind', ['pyramid', 'one level', 'strips', 'runs'])
def test_large_files_give_the_same_as_arrays(tmp_path, kind):
    shape = (LARGE + 904, LARGE + 1404)
    mask, path = blob(shape), tmp_path / 'a.tif'
    if kind == 'runs':
        source = GreyRuns(RunMask.from_strips([mask], shape))
    else:
        if kind == 'strips':
            tifffile.imwrite(path, mask, rowsperstrip=64, compression='zlib')
        else:
            limit = {'pyramid': LARGE, 'one level': max(shape)}[kind]
            write_tiled_tiff(
                path, iter([mask]), shape, 0.5, labels=True, pyramid_from=limit
            )
        source = open_grey_regions(path, Limits(whole_pixels=1000))
        assert (len(source.levels) > 1) == (kind == 'pyramid')
    pyramid = Pyramid(source)
    assert pyramid.is_large == (kind != 'pyramid')
    for level in (0, 1, 3, 4):
        expected = halved(mask, level)
        found = whole(pyramid, level)
        # levels of the file are by majority
        assert abs(found - expected).mean() < (6 if kind == 'pyramid' else 1)
    source.close()


def test_the_margin_is_that_of_the_neighbours():
    pixels = np.random.default_rng(0).integers(0, 256, (700, 1100), np.uint8)
    tile = Pyramid(GreyArray(pixels)).tile(0, 1, 0, margin=1)
    assert tile.shape == (514, 514)
    assert (tile == np.pad(pixels, 1)[:514, 512 : 512 + 514]).all()


def test_a_small_tiff_is_not_opened_by_regions(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', blob((60, 50)))
    assert open_grey_regions(tmp_path / 'a.tif') is None
    assert open_grey_regions(tmp_path / 'a.png') is None
    assert (
        open_mask(tmp_path / 'a.tif').read(0, 5, 6, 7, 8) == blob((60, 50))[5:12, 6:14]
    ).all()


@pytest.mark.parametrize('colour', [False, True])
def test_regions_of_the_wrong_kind_are_refused(tmp_path, colour):
    path = tmp_path / 'a.tif'
    pixels = np.zeros((300, 300, 3) if colour else (300, 300), np.uint8)
    tifffile.imwrite(path, pixels, tile=(128, 128))
    opener = open_grey_regions if colour else open_source
    with pytest.raises(ValueError, match=r'a\.tif: is too large to be read at once'):
        opener(path, Limits(whole_pixels=1000))


def test_colours_keep_their_channels():
    image = np.random.default_rng(0).integers(0, 256, (600, 900, 3), np.uint8)
    pyramid = Pyramid(ArraySource(image))
    assert (pyramid.tile(0, 0, 0) == image[:512, :512]).all()
    assert pyramid.tile(1, 0, 0).shape == (300, 450, 3)
