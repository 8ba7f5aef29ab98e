import os
from itertools import pairwise

import numpy as np
import openslide
import pytest
import tifffile

from mmseg_ftu.io.images import read_mask
from mmseg_ftu.io.pixel_size import UNKNOWN, tiff_pixel_size
from mmseg_ftu.io.tiff import main_series
from mmseg_ftu.io.tiled_tiff import level_shapes, write_tiled_tiff

SHAPE = (1201, 1430)
SHAPES = [(1201, 1430), (601, 715), (301, 358)]


def in_strips(array, rows):
    return (array[y : y + rows] for y in range(0, len(array), rows))


def blocks(seed=0):
    """A mask of blocks that no level's pixels fit, with single rows and columns."""
    mask = np.random.default_rng(seed).random((100, 70)) < 0.4
    mask = np.kron(mask, np.ones((13, 21), bool))[: SHAPE[0], : SHAPE[1]]
    mask[-1] = mask[:, -1] = True
    return mask.astype(np.uint8) * 255


def noise():
    return np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


def means(image, factor):
    """Return the mean of each block, of the pixels that are there."""
    sums, counts = (
        np.add.reduceat(
            np.add.reduceat(part, range(0, SHAPE[0], factor), axis=0),
            range(0, SHAPE[1], factor),
            axis=1,
        )
        for part in (image.astype(float), np.ones(SHAPE))
    )
    return sums / counts


def write(path, image, rows=500, **options):
    options = dict(pixel_size=0.5, pyramid_from=400) | options
    size = options.pop('pixel_size')
    write_tiled_tiff(path, in_strips(image, rows), image.shape, size, **options)
    return path


@pytest.mark.parametrize(
    ('shape', 'expected'),
    [
        ((1, 1), 1),
        ((4096, 10), 1),
        ((4097, 10), 4),  # 2049, 1025, 513
        ((20_000, 20_000), 6),
    ],
)
def test_images_of_a_size_get_levels(shape, expected):
    shapes = level_shapes(shape)
    assert len(shapes) == expected
    for one, other in pairwise(shapes):
        assert other == tuple(-(-side // 2) for side in one)
    assert max(shapes[-1]) <= 1024 or len(shapes) == 1


@pytest.mark.parametrize('rows', [1, 17, 2000])
@pytest.mark.parametrize('big_from', [2**31, 100])
def test_levels_of_a_mask(tmp_path, rows, big_from):
    mask = blocks()
    path = write(tmp_path / 'a.tif', mask, rows, labels=True, big_from=big_from)
    assert os.listdir(tmp_path) == ['a.tif']
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff == (big_from == 100)
        (series,) = file.series
        assert [level.shape for level in series.levels] == SHAPES
        found = [level.asarray() for level in series.levels]
    np.testing.assert_array_equal(found[0], mask)
    for k in (1, 2):
        assert set(np.unique(found[k])) == {0, 255}
        inside = np.s_[: SHAPE[0] >> k, : SHAPE[1] >> k]  # of whole blocks
        expected = 255 * (means(mask, 2**k) >= 127.5)
        np.testing.assert_array_equal(found[k][inside], expected[inside])
    np.testing.assert_array_equal(read_mask(path), mask > 0)


@pytest.mark.parametrize('shape', [(1024, 512), (1024, 700), (1, 1025), (1025, 1)])
def test_sides_that_tiles_fit(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = write(tmp_path / 'a.tif', image, 64)
    with tifffile.TiffFile(path) as file:
        found = [level.asarray() for level in file.series[0].levels]
    np.testing.assert_array_equal(found[0], image)
    assert [level.shape for level in found] == level_shapes(shape, 400)
    assert found[-1].mean() == pytest.approx(image.mean(), abs=1)


@pytest.mark.parametrize('rows', [3, 512])
def test_levels_of_probabilities_are_means(tmp_path, rows):
    image = noise()
    path = write(tmp_path / 'a.tif', image, rows)
    with tifffile.TiffFile(path) as file:
        found = [level.asarray() for level in file.series[0].levels]
    np.testing.assert_array_equal(found[0], image)
    np.testing.assert_array_equal(found[1], np.rint(means(image, 2)))
    inside = np.s_[: SHAPE[0] // 4, : SHAPE[1] // 4]
    np.testing.assert_array_equal(found[2][inside], np.rint(means(image, 4))[inside])


@pytest.mark.parametrize('big_from', [2**31, 100])
def test_openslide_reads_the_levels(tmp_path, big_from):
    path = write(tmp_path / 'a.tif', blocks(), labels=True, big_from=big_from)
    with tifffile.TiffFile(path) as file:
        level = file.series[0].levels[1].asarray()
    with openslide.OpenSlide(str(path)) as slide:
        assert slide.level_dimensions == tuple((w, h) for h, w in SHAPES)
        assert float(slide.properties['openslide.mpp-x']) == pytest.approx(0.5)
        region = np.asarray(slide.read_region((0, 0), 1, (715, 601)))
    assert (region[..., 3] == 255).all()
    np.testing.assert_array_equal(region[..., 0], level)


@pytest.mark.parametrize('pixel_size', [0.5, None])
def test_each_level_knows_its_pixel_size(tmp_path, pixel_size):
    path = write(tmp_path / 'a.tif', blocks(), pixel_size=pixel_size)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert main_series(file).levels[2].shape == SHAPES[2]
        (pixels,) = [tifffile.xml2dict(file.ome_metadata)['OME']['Image']['Pixels']]
        sizes = {k: v for k, v in pixels.items() if k.startswith('PhysicalSize')}
        if pixel_size is None:
            assert not sizes
            assert tiff_pixel_size(file) == UNKNOWN
            return
        assert tiff_pixel_size(file).um == pytest.approx(0.5)
        assert sizes == {
            'PhysicalSizeX': 0.5,
            'PhysicalSizeXUnit': 'µm',
            'PhysicalSizeY': 0.5,
            'PhysicalSizeYUnit': 'µm',
        }
        for k, level in enumerate(file.series[0].levels):
            page = level.keyframe
            assert page.compression.name == 'ADOBE_DEFLATE'
            assert page.tile == (512, 512)
            assert 1e4 / page.get_resolution()[0] == pytest.approx(0.5 * 2**k)
            assert page.subfiletype == (k > 0)


def test_equal_input_gives_an_equal_file(tmp_path):
    one, other = (write(tmp_path / f'{n}.tif', noise(), n) for n in (7, 700))
    assert one.read_bytes() == other.read_bytes()


def test_a_failure_leaves_nothing(tmp_path):
    def failing():
        yield np.zeros((600, SHAPE[1]), np.uint8)
        raise ValueError('no more')

    with pytest.raises(ValueError, match='no more'):
        write_tiled_tiff(tmp_path / 'a.tif', failing(), SHAPE, None, pyramid_from=400)
    assert os.listdir(tmp_path) == []
