import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from mmseg_ftu.io import raster
from mmseg_ftu.io.images import find_images, read_image, read_mask, read_size
from mmseg_ftu.io.sources import open_source
from mmseg_ftu.io.tiff import pages_of


def smooth_rgb(height=64, width=48):
    """Make a picture that survives JPEG, with three unlike channels."""
    y, x = np.mgrid[:height, :width]
    channels = [255 - y * 2, 40 + x * 3, 250 - y - x]
    return np.stack(channels, axis=-1).astype(np.uint8)


RGB = smooth_rgb()
GREY = RGB[..., 0]
OPAQUE = np.dstack([RGB, np.full_like(GREY, 255)])
TRANSPARENT = np.dstack([RGB, GREY])
PLANAR = np.ascontiguousarray(RGB.transpose(2, 0, 1))


def write_raw_png(path, rows, size, bits, colour):
    """Write a PNG by hand, of kinds that neither Pillow nor tifffile writes."""

    def chunk(name, data):
        body = name + data
        return struct.pack('>I', len(data)) + body + struct.pack('>I', zlib.crc32(body))

    header = struct.pack('>IIBBBBB', size[1], size[0], bits, colour, 0, 0, 0)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', header)
        + chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows)))
        + chunk(b'IEND', b'')
    )


def write_png_16(path, pixels):
    rows = [row.astype('>u2').tobytes() for row in pixels]
    write_raw_png(path, rows, pixels.shape[:2], bits=16, colour=2)


def write_png_2_bits(path):
    """Write a row of the labels 0, 1, 2, 3, which Pillow reads as 0, 85, 170, 255."""
    write_raw_png(path, [bytes([0b00011011])], (1, 4), bits=2, colour=0)


def write_pages(path, *pages, **options):
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, photometric='rgb', **options)


def write_pyramid(path):
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, subifds=1, photometric='rgb', tile=(32, 32))
        file.write(RGB[::2, ::2], subfiletype=1, photometric='rgb', tile=(32, 32))


def write_tiff(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


def write_pillow(pixels, **options):
    return lambda path: Image.fromarray(pixels).save(path, **options)


WIDE = RGB.astype(np.uint16)
EXACT = {
    'plain.tiff': write_tiff(RGB),
    'big_endian.tif': write_tiff(RGB, byteorder='>'),
    'bigtiff.tif': write_tiff(RGB, bigtiff=True),
    'planar.tif': write_tiff(PLANAR, photometric='rgb', planarconfig='separate'),
    'six_axes.tif': write_tiff(PLANAR[None, None]),
    'imagej_channels.tif': write_tiff(PLANAR, imagej=True),
    'ome_channels.ome.tif': write_tiff(PLANAR, ome=True, metadata={'axes': 'CYX'}),
    'lzw.tif': write_tiff(RGB, compression='lzw', predictor=True),
    'deflate.tif': write_tiff(RGB, compression='deflate', rowsperstrip=7),
    'zstd.tif': write_tiff(RGB, compression='zstd'),
    'tiled.tif': write_tiff(RGB, tile=(32, 32)),
    'pyramid.tif': write_pyramid,
    'with_thumbnail.tif': lambda path: write_pages(path, RGB, RGB[::4, ::4]),
    'opaque.tif': write_tiff(OPAQUE, photometric='rgb', extrasamples=['unassalpha']),
    'eight_in_16.tif': write_tiff(WIDE, photometric='rgb'),
    'full_16.tif': write_tiff(WIDE * 257, photometric='rgb'),
    'plain.png': write_pillow(RGB),
    'opaque.png': write_pillow(OPAQUE),
    'full_16.png': lambda path: write_png_16(path, WIDE * 257),
    'eight_in_16.png': lambda path: write_png_16(path, WIDE),
    'plain.bmp': write_pillow(RGB),
    'UPPER.PNG': write_pillow(RGB),
    'späce in name.png': write_pillow(RGB),
}


@pytest.mark.parametrize('name', EXACT)
def test_reads_exactly(tmp_path, name):
    EXACT[name](tmp_path / name)
    image = read_image(tmp_path / name)
    np.testing.assert_array_equal(image, RGB)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert read_size(tmp_path / name) == (64, 48)
    source = open_source(tmp_path / name)  # prediction sees the same
    np.testing.assert_array_equal(source.read(0, 0, 0, 64, 48), RGB)
    source.close()


@pytest.mark.parametrize(
    ('name', 'write'),
    [
        ('a.jpg', write_pillow(RGB, quality=95)),
        ('a.jpeg', write_pillow(RGB, quality=95)),
        ('jpeg.tif', write_tiff(RGB, compression='jpeg')),
        ('jpeg_tiled.tif', write_tiff(RGB, compression='jpeg', tile=(32, 32))),
        (
            'jpeg_rgb.tif',
            write_tiff(
                RGB,
                compression='jpeg',
                photometric='rgb',
                compressionargs={'outcolorspace': 'rgb'},
            ),
        ),
    ],
)
def test_reads_jpeg_nearly(tmp_path, name, write):
    write(tmp_path / name)
    difference = read_image(tmp_path / name).astype(int) - RGB
    assert np.abs(difference).mean() < 3  # channels swapped: more than 30
    assert read_size(tmp_path / name) == (64, 48)


def test_full_16_bit_range_is_divided_by_257(tmp_path):
    values = np.arange(0, 65536, 16, dtype=np.uint16)[: 64 * 48]
    values = np.concatenate([values[:-1], [65535]]).astype(np.uint16)
    pixels = np.repeat(values.reshape(64, 48, 1), 3, axis=2)
    tifffile.imwrite(tmp_path / 'a.tif', pixels, photometric='rgb')
    expected = np.rint(pixels / 257)
    np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), expected)


REFUSED = {
    'transparent.png': (write_pillow(TRANSPARENT), r'partly transparent \(RGBA\)'),
    'transparent.tif': (
        write_tiff(TRANSPARENT, photometric='rgb', extrasamples=['unassalpha']),
        'partly transparent',
    ),
    'tRNS.png': (write_pillow(RGB, transparency=(1, 2, 3)), 'transparent colour'),
    'grey.png': (write_pillow(GREY), 'is a grey image.*is it a mask'),
    'grey.tif': (write_tiff(GREY), 'is a grey image'),
    'grey.jpg': (write_pillow(GREY), 'is a grey image'),
    'white_is_zero.tif': (write_tiff(GREY, photometric='miniswhite'), 'miniswhite'),
    'grey_16.png': (write_pillow(GREY.astype(np.uint16) * 257), 'is a grey image'),
    'grey_alpha.png': (write_pillow(TRANSPARENT[..., 2:]), 'is a LA image'),
    'bilevel.png': (write_pillow(GREY > 100), 'is a grey image'),
    'palette.png': (
        lambda path: Image.fromarray(RGB).quantize(8).save(path),
        'is a palette image',
    ),
    'palette.tif': (
        write_tiff(GREY, photometric='palette', colormap=np.zeros((3, 256), np.uint16)),
        'is a palette image',
    ),
    'cmyk.jpg': (lambda path: Image.fromarray(RGB).convert('CMYK').save(path), 'CMYK'),
    'cmyk.tif': (write_tiff(OPAQUE, photometric='separated'), '4-channel separated'),
    'lab.tif': (write_tiff(RGB, photometric='cielab'), '3-channel cielab'),
    'raw_ycbcr.tif': (write_tiff(RGB, photometric='ycbcr'), 'ycbcr'),
    'five_channels.tif': (
        write_tiff(np.dstack([OPAQUE, GREY]), photometric='rgb'),
        '5-channel',
    ),
    'twelve_bit.tif': (
        write_tiff(WIDE * 16, photometric='rgb'),
        '16-bit image with values up to 4080',
    ),
    'twelve_bit.png': (lambda path: write_png_16(path, WIDE * 16), 'up to 4080'),
    'float.tif': (write_tiff(RGB / np.float32(255), photometric='rgb'), 'float32'),
    'signed.tif': (write_tiff(RGB.astype(np.int16), photometric='rgb'), 'int16'),
    'four_pages.tif': (
        write_tiff(np.stack([RGB] * 4), photometric='rgb'),
        'holds 4 pages',
    ),
    'two_pages.tif': (lambda path: write_pages(path, RGB, RGB), 'holds 2 pages'),
    'imagej_stack.tif': (
        write_tiff(np.stack([PLANAR] * 2), imagej=True),
        'holds 6 pages',
    ),
    'thumbnail_first.tif': (
        lambda path: write_pages(path, RGB[::4, ::4], RGB),
        'later page larger than the first',
    ),
    'rotated.tif': (
        write_tiff(RGB, extratags=[(274, 3, 1, 6, True)]),
        'stored rotated',
    ),
    'rotated.jpg': (
        lambda path: Image.fromarray(RGB).save(path, exif=exif_with_orientation(6)),
        'stored rotated',
    ),
    'empty.png': (lambda path: path.write_bytes(b''), r'is empty \(0 bytes\)'),
    'empty.tiff': (lambda path: path.write_bytes(b''), r'is empty \(0 bytes\)'),
    'text.png': (lambda path: path.write_text('<html>404'), 'holds something else'),
    'text.tiff': (lambda path: path.write_text('<html>404'), 'holds something else'),
    'header_only.tif': (lambda path: path.write_bytes(b'II*\0'), 'cannot be decoded'),
    'header_only.png': (
        lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n'),
        'cannot be decoded',
    ),
    'a_png.tiff': (
        lambda path: Image.fromarray(RGB).save(path, 'PNG'),
        'named like a TIFF but holds a PNG; rename',
    ),
    'a_tiff.png': (write_tiff(RGB), 'named like a PNG but holds a TIFF'),
    'a_jpeg.png': (
        lambda path: Image.fromarray(RGB).save(path, 'JPEG'),
        'named like a PNG but holds a JPEG',
    ),
    'picture.gif': (write_pillow(GREY), "unknown extension '.gif'"),
    'sparse.tif': (lambda path: write_sparse(path), 'lacks strips or tiles'),
    'bomb.tif': (
        lambda path: write_announcing(path, 20000, 20000),
        '20000 x 20000 px|lacks strips',  # prediction has no such limit
    ),
    'more_strips.tif': (
        lambda path: write_announcing(path, 300, 48, rowsperstrip=16),
        'lacks strips or tiles',
    ),
    'more_tiles.tif': (
        lambda path: write_announcing(path, 64, 90, tile=(16, 16)),
        'lacks strips or tiles',
    ),
    'bomb.png': (lambda path: write_png_bomb(path), 'more than 178956970 pixels'),
}


def exif_with_orientation(value):
    exif = Image.Exif()
    exif[274] = value
    return exif


def write_sparse(path):
    """Write a tiled file one tile of which has no bytes."""
    tifffile.imwrite(path, RGB, tile=(32, 32))
    with tifffile.TiffFile(path, mode='r+b') as file:
        tag = file.pages[0].tags['TileByteCounts']
        tag.overwrite([0, *tag.value[1:]])


def write_announcing(path, height, width, **options):
    """Write a small file the header of which announces a larger image."""
    tifffile.imwrite(path, RGB, **options)
    with tifffile.TiffFile(path, mode='r+b') as file:
        file.pages[0].tags['ImageWidth'].overwrite(width)
        file.pages[0].tags['ImageLength'].overwrite(height)


def write_png_bomb(path):
    header = b'IHDR' + struct.pack('>IIBBBBB', 20000, 20000, 8, 2, 0, 0, 0)
    data = struct.pack('>I', 13) + header + struct.pack('>I', zlib.crc32(header))
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + data + struct.pack('>I', 0) + b'IDAT')


@pytest.mark.parametrize('name', REFUSED)
def test_refuses_by_name(tmp_path, name):
    write, message = REFUSED[name]
    write(tmp_path / name)
    for read in (read_image, open_source):  # of preparation and of prediction
        with pytest.raises(ValueError, match=message) as error:
            read(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)


COMPRESSIONS = [
    ('a.tiff', {}),
    ('a.tif', {'compression': 'lzw'}),
    ('a.tif', {'compression': 'deflate', 'tile': (32, 32)}),
    ('a.tif', {'compression': 'jpeg', 'tile': (32, 32)}),
    ('a.png', None),
    ('a.jpg', None),
    ('a.bmp', None),
]


@pytest.mark.parametrize('keep', [0.1, 0.5, 0.9])
@pytest.mark.parametrize(('name', 'options'), COMPRESSIONS)
def test_refuses_truncated_files(tmp_path, name, options, keep):
    path = tmp_path / name
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    (write_pillow(noise) if options is None else write_tiff(noise, **options))(path)
    data = path.read_bytes()
    read_image(path)
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ValueError, match=r'truncated|is empty') as error:
        read_image(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('name', ['a.tif', 'a.png'])
def test_refuses_corrupt_streams(tmp_path, name):
    path = tmp_path / name
    options = {'compression': 'deflate'} if name == 'a.tif' else {}
    writer = write_tiff if name == 'a.tif' else write_pillow
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    writer(noise, **options)(path)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(ValueError, match='cannot be decoded'):
        read_image(path)


def test_a_colour_space_that_tifffile_does_not_know_is_named(tmp_path):
    path = tmp_path / 'odd.tif'
    tifffile.imwrite(path, RGB, photometric='rgb')
    with tifffile.TiffFile(path, mode='r+b') as file:
        file.pages[0].tags['PhotometricInterpretation'].overwrite(999)
    with pytest.raises(ValueError, match='is a 3-channel 999 image; a colour'):
        read_image(path)


def test_a_series_without_all_its_pages_is_refused():
    series = SimpleNamespace(pages=['page', None])
    with pytest.raises(raster.RefusedError, match='lacks 1 of 2 pages'):
        pages_of(series)


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match='wanted'):
        read_image(tmp_path / 'wanted.tiff')


def test_limit_is_that_of_pillow():
    assert Image.MAX_IMAGE_PIXELS * 2 == raster.MAX_PIXELS


def test_real_files(shared_data):
    folder = shared_data('stain_images')
    slide = read_image(folder / 'cmu_small_region.svs')  # level 0, with thumbnail
    assert slide.shape == (2967, 2220, 3)
    crop = read_image(folder / 'cmu_small_region_crop1024.png')
    np.testing.assert_array_equal(slide[600:1624, 600:1624], crop)
    files = find_images(shared_data('hubmap2022_mini') / 'train_images')
    assert len(files) == 20
    for (path,) in files.values():
        assert read_image(path).shape[:2] == read_size(path)


LABELS = np.array([[0, 1, 2], [3, 0, 1]], np.uint8)


@pytest.mark.parametrize(
    ('labels', 'foreground', 'ignore', 'expected'),
    [
        (LABELS, 'auto', None, [[0, 1, 1], [1, 0, 1]]),
        (LABELS, 'nonzero', None, [[0, 1, 1], [1, 0, 1]]),
        (LABELS, (1,), None, [[0, 1, 0], [0, 0, 1]]),
        (LABELS, (1, 3), None, [[0, 1, 0], [1, 0, 1]]),
        (LABELS, (0,), None, [[1, 0, 0], [0, 1, 0]]),
        (LABELS, 'auto', 3, [[0, 1, 1], [255, 0, 1]]),
        (LABELS, (1,), 2, [[0, 1, 255], [0, 0, 1]]),
        ([[0, 255, 0]], 'auto', None, [[0, 1, 0]]),
        ([[0, 255, 1]], 'nonzero', None, [[0, 1, 1]]),
        ([[0, 255, 1]], 'auto', 255, [[0, 255, 1]]),
        ([[0, 255, 1]], (255,), None, [[0, 1, 0]]),
        ([[0, 0, 0]], 'auto', None, [[0, 0, 0]]),
    ],
)
@pytest.mark.parametrize('suffix', ['.png', '.tif', '.bmp'])
def test_read_mask(tmp_path, labels, foreground, ignore, expected, suffix):
    path = tmp_path / f'mask{suffix}'
    labels = np.array(labels, np.uint8)
    (write_tiff if suffix == '.tif' else write_pillow)(labels)(path)
    mask = read_mask(path, foreground, ignore)
    np.testing.assert_array_equal(mask, expected)
    assert mask.dtype == np.uint8


def write_indexed(path, **options):
    image = Image.fromarray(LABELS).convert('P')
    image.putdata(LABELS.ravel().tolist())
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(path, **options)


@pytest.mark.parametrize(
    ('name', 'write'),
    [
        ('palette.png', write_indexed),
        ('palette_4_bits.png', lambda path: write_indexed(path, bits=4)),
        ('bilevel.png', write_pillow(LABELS > 0)),
        ('three_equal.png', write_pillow(np.dstack([LABELS] * 3))),
        ('wide.png', write_pillow(LABELS.astype(np.uint16) * 300)),
        ('wide.tif', write_tiff(LABELS.astype(np.uint32) * 70000)),
        ('lzw.tif', write_tiff(LABELS, compression='lzw')),
    ],
)
def test_read_mask_of_other_kinds(tmp_path, name, write):
    write(tmp_path / name)
    np.testing.assert_array_equal(read_mask(tmp_path / name), LABELS > 0)


@pytest.mark.parametrize(
    ('name', 'write', 'message'),
    [
        ('m.jpg', write_pillow(GREY), 'is a JPEG, which smears labels'),
        ('m.tif', write_tiff(RGB, compression='jpeg'), 'is a JPEG'),
        ('m.png', write_pillow(RGB), 'one channel of whole-number labels'),
        ('m.tif', write_tiff(LABELS.astype(np.float32)), 'float32'),
        ('m.png', write_pillow(LABELS * 127 + 1), r'label 255 beside \[1, 126, 128\]'),
        ('m.png', lambda path: path.write_bytes(b''), 'is empty'),
        ('m.png', write_png_2_bits, 'is a 2-bit PNG'),
        ('m.tif', write_tiff(np.stack([GREY] * 5)), 'holds 5 pages'),
    ],
)
def test_read_mask_refuses(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=message) as error:
        read_mask(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_find_images(tmp_path, capsys):
    for name in ('a.png', 'a.tif', 'b.JPG', '.hidden.png', 'notes.txt'):
        (tmp_path / name).touch()
    found = find_images(tmp_path)
    assert {stem: len(paths) for stem, paths in found.items()} == {'a': 2, 'b': 1}
    assert '1 with the suffix of an image is skipped' in capsys.readouterr().err
