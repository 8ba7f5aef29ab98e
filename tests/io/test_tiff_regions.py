"""Pyramids and planes of TIFF and OME-TIFF, written by tifffile and compared to it."""

import cv2
import numpy as np
import pytest
import tifffile
from random_boxes import boxes
from small_models import noise

from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.loader import Loader
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.sources import ArraySource, Limits, open_source
from mmseg_ftu.io.tiff_regions import TiffRegions
from mmseg_ftu.io.working_image import read_resized
from mmseg_ftu.recipe import Recipe

SHAPE = (500, 644)
STORED = {
    'pixels': dict(axes='YXS', photometric='rgb'),
    'planes': dict(axes='SYX', photometric='rgb', planarconfig='separate'),
    'pages': dict(axes='CYX', photometric='minisblack'),
}
SEGMENTS = {
    'tiles': dict(tile=(64, 112)),
    'strips': dict(rowsperstrip=37),
    'one strip': dict(),
}
COMPRESSIONS = {
    'plain': dict(),
    'lzw': dict(compression='lzw', predictor=True),
    'jpeg': dict(compression='jpeg', compressionargs=dict(level=90)),
}


def halves(image, count):
    """Yield the image at a half, a quarter, ... of its size."""
    for _ in range(count):
        size = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        yield image


def write_pyramid(path, image, stored='pixels', *, kind='ome', levels=2, **options):
    """Write the levels as SubIFDs, or as pages of a plain TIFF."""
    options = STORED[stored] | options
    axes = options.pop('axes')

    def arranged(pixels):
        first = axes != 'YXS'
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)) if first else pixels

    with tifffile.TiffWriter(path, ome=kind == 'ome') as file:
        metadata = options.pop('metadata', {})
        if kind == 'ome':
            metadata = dict(axes=axes) | metadata
            options['subifds'] = levels
        else:
            metadata = None
        file.write(arranged(image), metadata=metadata, **options)
        options.pop('subifds', None)
        for level in halves(image, levels):
            file.write(arranged(level), subfiletype=1, metadata=None, **options)


@pytest.mark.parametrize('segments', SEGMENTS)
@pytest.mark.parametrize(
    ('stored', 'compression'),
    [
        (stored, compression)
        for stored in STORED
        for compression in COMPRESSIONS
        if stored == 'pixels' or compression != 'jpeg'  # tifffile writes no others
    ],
)
def test_levels_of_an_ome_tiff(tmp_path, stored, segments, compression):
    path, image = tmp_path / 'a.ome.tif', noise(*SHAPE)
    options = SEGMENTS[segments] | COMPRESSIONS[compression]
    write_pyramid(path, image, stored, **options)
    source = open_source(path)
    assert isinstance(source, TiffRegions)
    assert source.is_slide
    assert source.levels == [SHAPE, (250, 322), (125, 161)]
    assert source.by_rows == (segments != 'tiles')
    with tifffile.TiffFile(path) as file:
        expected = [level.asarray() for level in file.series[0].levels]
    if stored != 'pixels':
        expected = [level.transpose(1, 2, 0) for level in expected]
    if compression != 'jpeg':
        assert (expected[0] == image).all()
    for i, pixels in enumerate(expected):
        for top, left, h, w in boxes(pixels.shape[:2], 8):
            region = source.read(i, top, left, h, w)
            assert (region == pixels[top : top + h, left : left + w]).all()
    source.close()
    assert (read_image(path) == expected[0]).all()  # preparation sees the same


@pytest.mark.parametrize('bigtiff', [False, True])
@pytest.mark.parametrize('kind', ['ome', 'plain'])
def test_a_pyramid_is_read_from_the_level_that_is_large_enough(tmp_path, kind, bigtiff):
    path, image = tmp_path / 'a.tif', noise(1024, 800)
    # the levels are darkened, so that the one that was read can be told
    with tifffile.TiffWriter(path, ome=kind == 'ome', bigtiff=bigtiff) as file:
        options = dict(photometric='rgb', tile=(128, 128))
        subifds = dict(subifds=2) if kind == 'ome' else dict(metadata=None)
        file.write(image, **options, **subifds)
        for i, level in enumerate(halves(image, 2), start=1):
            options |= dict(subfiletype=1, metadata=None)
            file.write(level // 2**i, **options)
    source = open_source(path)
    for shape, level in (((600, 469), 0), ((512, 400), 1), ((100, 78), 2)):
        size = shape[::-1]
        expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA) / 2**level
        found = read_resized(source, shape)
        assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize('kind', ['ome', 'plain'])
def test_a_pyramid_resized_is_the_full_size_resized(tmp_path, kind):
    path, image = tmp_path / 'a.tif', cv2.resize(noise(100, 78), (776, 1000))
    write_pyramid(path, image, kind=kind, tile=(128, 128), levels=3)
    source = open_source(path)
    assert len(source.levels) == 4
    for shape in ((999, 775), (500, 388), (333, 258), (125, 97), (60, 47)):
        size = shape[::-1]
        expected = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(int)
        difference = np.abs(read_resized(source, shape) - expected)
        assert difference.max() <= 3
        assert difference.mean() < 0.7
    loaded = Loader(Recipe(100, 8.0))(Job('a', path, pixel_size=1.0))
    assert loaded.working.shape == (125, 97)
    loaded.close()


def test_a_real_slide_as_an_ome_pyramid(shared_data, tmp_path):
    slide = shared_data('stain_images') / 'cmu_small_region.svs'
    path, image = tmp_path / 'slide.ome.tif', read_image(slide)
    metadata = dict(PhysicalSizeX=499, PhysicalSizeXUnit='nm')
    options = dict(tile=(256, 256), compression='deflate', metadata=metadata)
    write_pyramid(path, image, levels=3, **options)
    source, scanned = open_source(path), open_source(slide)
    assert source.pixel_size == pytest.approx(scanned.pixel_size)
    assert source.levels == [(2967, 2220), (1483, 1110), (741, 555), (370, 277)]
    box = 700, 1200, 300, 200
    assert (source.read(0, *box) == scanned.read(0, *box)).all()
    expected = read_resized(scanned, (247, 185)).astype(int)  # of the full size
    found = read_resized(source, (247, 185))
    assert np.abs(found - expected).mean() < 3  # averaged twice
    assert np.abs(np.roll(found, 1, 0) - expected).mean() > 6  # one px off
    for opened in (source, scanned):
        opened.close()


def test_rows_of_a_strip_that_is_not_compressed(tmp_path):
    image = noise(*SHAPE)
    for stored in STORED:
        path = tmp_path / f'{stored}.ome.tif'
        write_pyramid(path, image, stored, rowsperstrip=SHAPE[0])
        source = open_source(path, Limits(strip_pixels=1000))
        assert isinstance(source, TiffRegions)
        for top, left, h, w in boxes(SHAPE, 8):
            region = source.read(0, top, left, h, w)
            assert (region == image[top : top + h, left : left + w]).all()
        source.close()


def write_levels(path, image, *levels):
    with tifffile.TiffWriter(path, ome=True) as file:
        options = dict(photometric='rgb', tile=(64, 64))
        file.write(image, subifds=len(levels), **options)
        for level in levels:
            file.write(level, subfiletype=1, **options)


def test_levels_that_do_not_fit_are_left_out(tmp_path):
    path, image = tmp_path / 'a.ome.tif', noise(512, 512)
    half, quarter = halves(image, 2)
    # of another shape, larger than the one before, with tiles that are not there
    write_levels(path, image, noise(300, 200), half, noise(400, 400), quarter)
    with tifffile.TiffFile(path, mode='r+b') as file:
        last = file.series[0].keyframe.pages[3]
        counts = last.tags['TileByteCounts']
        counts.overwrite([0, *counts.value[1:]])
    source = open_source(path)
    assert source.levels == [(512, 512), (256, 256)]
    assert (source.read(1, 0, 0, 256, 256) == half).all()


def test_a_small_pyramid_of_16_bits_is_read_whole(tmp_path):
    path, image = tmp_path / 'a.ome.tif', noise(*SHAPE)
    write_pyramid(path, image.astype(np.uint16) * 257, tile=(64, 64))
    source = open_source(path)
    assert isinstance(source, ArraySource)
    assert (source.image == image).all()


@pytest.mark.parametrize(
    ('pixels', 'options', 'message'),
    [
        (noise(*SHAPE)[..., 0], dict(photometric='minisblack'), 'is a grey image'),
        (
            noise(*SHAPE)[..., 0],
            dict(photometric='miniswhite'),
            'is a miniswhite image',
        ),
        (
            np.stack([noise(*SHAPE)] * 4),
            dict(photometric='rgb', metadata=dict(axes='ZYXS')),
            'holds 4 pages, axes ZYXS',
        ),
        (
            noise(*SHAPE).astype(np.float32),
            dict(photometric='rgb'),
            'holds float32 numbers',
        ),
        (
            np.dstack([noise(*SHAPE), noise(*SHAPE)[..., :1]]),
            dict(photometric='rgb', extrasamples=['unassalpha']),
            'partly transparent',
        ),
    ],
)
def test_pyramids_of_another_kind_are_refused_as_in_preparation(
    tmp_path, pixels, options, message
):
    path = tmp_path / 'a.ome.tif'
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pixels, subifds=1, tile=(64, 64), **options)
        options = options | dict(metadata=None, subfiletype=1)
        y = 1 if pixels.ndim == 4 else 0
        half = pixels.take(range(0, 500, 2), y).take(range(0, 644, 2), y + 1)
        file.write(half, tile=(64, 64), **options)
    with pytest.raises(ValueError, match=rf'a\.ome\.tif: .*{message}'):
        open_source(path).read(0, 0, 0, *SHAPE)
    with pytest.raises(ValueError, match=rf'a\.ome\.tif: .*{message}'):
        read_image(path)
