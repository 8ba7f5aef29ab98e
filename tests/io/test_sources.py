from pathlib import Path

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from opened_files import counting
from random_boxes import boxes
from small_models import noise

from mmseg_ftu.io.slide_source import SlideSource
from mmseg_ftu.io.sources import ArraySource, Limits, open_source
from mmseg_ftu.io.tiff_regions import TiffRegions

SHAPE = (300, 420)
HANDLES = Path('/proc/self/fd')
IN_PARTS = Limits(whole_pixels=100)
LAYOUTS = {
    'tiles': dict(tile=(64, 112)),
    'strips': dict(rowsperstrip=37),
    'one strip': dict(),
}
COMPRESSIONS = {
    'plain': dict(),
    'deflate': dict(compression='adobe_deflate'),
    'deflate, predictor': dict(compression='adobe_deflate', predictor=True),
    'lzw': dict(compression='lzw'),
    'jpeg': dict(compression='jpeg', compressionargs=dict(level=90)),
}


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('compression', COMPRESSIONS)
@pytest.mark.parametrize('bigtiff', [False, True])
def test_large_tiffs_are_read_by_regions(tmp_path, layout, compression, bigtiff):
    path, image = tmp_path / 'large.tif', noise(*SHAPE)
    options = LAYOUTS[layout] | COMPRESSIONS[compression]
    tifffile.imwrite(path, image, photometric='rgb', bigtiff=bigtiff, **options)
    expected = tifffile.imread(path)
    source = open_source(path, IN_PARTS)
    assert isinstance(source, TiffRegions)
    assert (source.shape, source.levels) == (SHAPE, [SHAPE])
    assert not source.is_slide
    for top, left, h, w in boxes(SHAPE, 12):
        region = source.read(0, top, left, h, w)
        assert (region == expected[top : top + h, left : left + w]).all()
    source.close()


@pytest.mark.parametrize('alpha', [255, 254])
def test_large_tiffs_with_alpha(tmp_path, alpha):
    path, image = tmp_path / 'large.tif', noise(*SHAPE)
    last = np.full((*SHAPE, 1), 255, np.uint8)
    last[-1, -1] = alpha
    tifffile.imwrite(
        path, np.concatenate([image, last], 2), photometric='rgb', tile=(64, 64)
    )
    source = open_source(path, IN_PARTS)
    if alpha == 255:
        assert (source.read(0, 0, 0, *SHAPE) == image).all()
        return
    assert (source.read(0, 0, 0, 200, 200) == image[:200, :200]).all()
    with pytest.raises(ValueError, match=r'large\.tif: is partly transparent'):
        source.read(0, 0, 0, *SHAPE)


@pytest.mark.parametrize(
    ('pixels', 'options', 'message'),
    [
        (noise(*SHAPE).astype(np.uint16) * 257, {}, 'uint16; save it as tiled 8-bit'),
        (noise(*SHAPE)[..., 0], dict(photometric='minisblack'), 'axes YX, uint8'),
        (
            noise(*SHAPE).transpose(2, 0, 1).copy(),
            dict(photometric='minisblack'),
            'holds 3 pages, axes QYX',
        ),
    ],
)
def test_large_tiffs_of_another_kind_are_named(tmp_path, pixels, options, message):
    path = tmp_path / 'large.tif'
    tifffile.imwrite(path, pixels, **(dict(photometric='rgb') | options))
    with pytest.raises(ValueError, match=rf'large\.tif: .*{message}'):
        open_source(path, IN_PARTS)


def test_a_large_strip_is_refused(tmp_path):
    path = tmp_path / 'large.tif'
    options = dict(compression='deflate', rowsperstrip=SHAPE[0])
    tifffile.imwrite(path, noise(*SHAPE), photometric='rgb', **options)
    with pytest.raises(ValueError, match=r'large\.tif: .*300 x 420 px, too large'):
        open_source(path, Limits(100, strip_pixels=30_000))


def test_one_piece_that_is_not_compressed_is_mapped(tmp_path):
    path, image = tmp_path / 'large.tif', noise(*SHAPE)
    tifffile.imwrite(path, image, photometric='rgb')
    source = open_source(path, Limits(100, strip_pixels=30_000))
    assert isinstance(source, TiffRegions)
    assert source.by_rows
    for top, left, h, w in boxes(SHAPE, 12):
        region = source.read(0, top, left, h, w)
        assert (region == image[top : top + h, left : left + w]).all()
    source.close()


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_truncated_large_tiff_is_named(tmp_path, layout):
    path = tmp_path / 'large.tif'
    tifffile.imwrite(path, noise(*SHAPE), photometric='rgb', **LAYOUTS[layout])
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r'large\.tif: is truncated'):
        open_source(path, IN_PARTS)


@pytest.mark.parametrize('limits', [Limits(), IN_PARTS], ids=['whole', 'in parts'])
def test_a_tile_of_jpeg_that_is_cut_off_is_named(tmp_path, limits):
    """As an interrupted copy leaves it; decoders fill it up with grey."""
    path = tmp_path / 'large.tif'
    options = dict(tile=(64, 64), compression='jpeg')
    tifffile.imwrite(path, noise(*SHAPE), photometric='rgb', **options)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        start, count = page.dataoffsets[3], page.databytecounts[3]
    sound = path.read_bytes()
    half, end = start + count // 2, start + count
    open_source(path, limits).close()
    path.write_bytes(sound[:half] + bytes(end - half) + sound[end:])
    with pytest.raises(ValueError, match=r'large\.tif: .*JPEG data .*cut off'):
        open_source(path, limits).read(0, 0, 0, *SHAPE)


def test_a_damaged_tile_is_named_when_it_is_read(tmp_path):
    path, image = tmp_path / 'large.tif', noise(*SHAPE)
    options = dict(tile=(64, 64), compression='adobe_deflate')
    tifffile.imwrite(path, image, photometric='rgb', **options)
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[3]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = bytes(40)
    path.write_bytes(data)
    source = open_source(path, IN_PARTS)
    assert (source.read(0, 0, 0, 64, 64) == image[:64, :64]).all()
    with pytest.raises(ValueError, match=r'large\.tif: tile or strip 3 cannot be'):
        source.read(0, 0, 0, *SHAPE)


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.png', b'', 'is empty'),
        ('a.tif', b'', 'is empty'),
        ('a.svs', b'', 'is empty'),
        ('a.ndpi', b'', 'is empty'),
        ('a.tif', b'no image at all', 'is named like a TIFF'),
        ('a.svs', b'no image at all', 'OpenSlide can not open it'),
        ('a.mrxs', b'no image at all', 'OpenSlide can not open it'),
        ('a.txt', b'no image at all', 'unknown extension'),
    ],
)
def test_files_that_are_no_images_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf'{name}: .*{message}'):
        open_source(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.png: no such file'):
        open_source(tmp_path / 'nowhere.png')


def test_small_files_are_read_exactly(tmp_path):
    image = noise(40, 60)
    for name in ('a.png', 'a.bmp'):
        cv2.imwrite(str(tmp_path / name), image[..., ::-1])
        source = open_source(tmp_path / name)
        assert (source.read(0, 3, 5, 20, 30) == image[3:23, 5:35]).all()
    tifffile.imwrite(tmp_path / 'a.tiff', image.astype(np.uint16) * 257)
    assert (open_source(tmp_path / 'a.tiff').image == image).all()


def test_a_real_slide(shared_data):
    path = shared_data('stain_images') / 'cmu_small_region.svs'
    source, slide = open_source(path), openslide.OpenSlide(str(path))
    assert isinstance(source, SlideSource)
    assert source.is_slide
    assert source.shape == slide.dimensions[::-1] == (2967, 2220)
    assert source.pixel_size == pytest.approx(0.499)
    for left, top, width, height in ((0, 0, 2220, 2967), (700, 1200, 300, 200)):
        expected = slide.read_region((left, top), 0, (width, height)).convert('RGB')
        region = source.read(0, top, left, height, width)
        assert region.dtype == np.uint8
        assert (region == np.asarray(expected)).all()
    beyond = source.read(0, 2900, 2200, 100, 50)
    assert (beyond[67:] == 255).all()
    assert (beyond[:, 20:] == 255).all()
    source.close()


def test_a_truncated_slide_is_named(shared_data, tmp_path):
    data = (shared_data('stain_images') / 'cmu_small_region.svs').read_bytes()
    path = tmp_path / 'short.svs'
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'short\.svs: (OpenSlide|damaged)'):
        open_source(path).read(0, 0, 0, 2967, 2220)


def test_levels_of_a_pyramidal_tiff(tmp_path):
    image = noise(1024, 768)
    half = cv2.resize(image, (384, 512), interpolation=cv2.INTER_AREA)
    path = tmp_path / 'pyramid.tif'
    with tifffile.TiffWriter(path) as file:
        options = dict(photometric='rgb', tile=(128, 128), metadata=None)
        file.write(image, **options)
        file.write(half, subfiletype=1, **options)
    source = open_source(path)
    assert source.is_slide
    assert source.levels == [(1024, 768), (512, 384)]
    assert (source.read(0, 100, 200, 300, 400) == image[100:400, 200:600]).all()
    assert (source.read(1, 100, 200, 300, 150) == half[100:400, 200:350]).all()
    assert (source.read(1, 33, 77, 10, 10) == half[33:43, 77:87]).all()


@pytest.mark.parametrize(
    ('limits', 'kind'), [(Limits(), ArraySource), (IN_PARTS, TiffRegions)]
)
@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_tiff_is_opened_once(tmp_path, layout, limits, kind):
    path, image = tmp_path / 'a.tif', noise(*SHAPE)
    options = dict(resolution=(20_000, 20_000), resolutionunit='CENTIMETER')
    tifffile.imwrite(path, image, photometric='rgb', **LAYOUTS[layout], **options)
    with counting(path) as opened:
        source = open_source(path, limits)
        assert isinstance(source, kind)
        assert (source.read(0, 0, 0, *SHAPE) == image).all()
        source.close()
    assert source.pixel_size == pytest.approx(0.5)
    assert len(opened) == 1


@pytest.mark.skipif(not HANDLES.is_dir(), reason='Linux lists open files')
@pytest.mark.parametrize('kind', ['is read', 'is refused'])
def test_no_tiff_stays_open(tmp_path, kind):
    path, image = tmp_path / 'a.tif', noise(*SHAPE)
    if kind == 'is read':
        tifffile.imwrite(path, image, photometric='rgb')
        open_source(path)
    else:
        tifffile.imwrite(path, image[..., 0], photometric='minisblack')
        with pytest.raises(ValueError, match='is a grey image'):
            open_source(path)
        with pytest.raises(ValueError, match='axes YX'):
            open_source(path, IN_PARTS)
    assert path.resolve() not in [link.resolve() for link in HANDLES.iterdir()]
