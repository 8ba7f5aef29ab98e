"""OME-TIFF: what is read, what is refused, and what is said."""

import warnings

import numpy as np
import pytest
import tifffile

from mmseg_ftu.io.images import read_image, read_size
from mmseg_ftu.io.ome import Length, ome_images
from mmseg_ftu.io.raster import RefusedError
from mmseg_ftu.io.sources import open_source

RGB = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
PLANES = np.ascontiguousarray(RGB.transpose(2, 0, 1))
NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'
RED, GREEN, BLUE = -16776961, 16711935, 65535  # as OME writes them


def ome(body, head=''):
    return f'<?xml version="1.0" encoding="UTF-8"?>{head}<OME {NAMESPACE}>{body}</OME>'


def pixels(content='', **attributes):
    given = dict(
        ID='Pixels:0', DimensionOrder='XYCZT', Type='uint8', SizeX=80, SizeY=60
    )
    given |= dict(SizeC=3, SizeZ=1, SizeT=1) | attributes
    text = ' '.join(f'{name}="{value}"' for name, value in given.items())
    return f'<Pixels {text}>{content}</Pixels>'


def test_images_are_read_in_order():
    channels = f'<Channel Name="R" Color="{RED}"/><Channel/>'
    first = pixels(channels, PhysicalSizeX='0.25', PhysicalSizeY='250')
    first = first.replace('<Channel Name', '<TiffData IFD="0"/><Channel Name')
    text = ome(
        f'<Image ID="Image:0" Name="a &amp; b">{first}</Image>'
        f'<Image ID="Image:1">{pixels(SizeX=8, SizeY=6)}</Image>'
    )
    first, second = ome_images(text)
    assert first.name == 'a & b'
    assert first.shape == (60, 80)
    assert first.pixel_size == (Length(0.25, '\u00b5m'), Length(250, '\u00b5m'))
    assert first.channels == (('R', 0xFF0000FF), ('', None))
    assert second == ('', (6, 8), (None, None), ())


@pytest.mark.parametrize(
    ('value', 'unit', 'um'),
    [
        ('0.25', '\u00b5m', 0.25),
        ('0.25', '\u03bcm', 0.25),
        ('0.25', 'um', 0.25),
        ('250', 'nm', 0.25),
        ('2.5e-4', 'mm', 0.25),
        ('0.000025', 'cm', 0.25),
        ('2500', '\u00c5', 0.25),
        ('1', 'pixel', None),
        ('1', 'reference frame', None),
        ('1', 'parsec', None),
    ],
)
def test_units(value, unit, um):
    text = ome(f'<Image>{pixels(PhysicalSizeX=value, PhysicalSizeXUnit=unit)}</Image>')
    ((x, y),) = [image.pixel_size for image in ome_images(text)]
    assert x.um == (um and pytest.approx(um))
    assert y is None


@pytest.mark.parametrize(
    'text', ['', '<OME', 'no XML OME>', ome('<Image><Pixels/></Image>')]
)
def test_what_is_no_whole_ome_says_nothing(text):
    assert ome_images(text) == []


LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha">' + ''.join(
    f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12)
)


@pytest.mark.parametrize(
    'doctype', [f'{LAUGHS}]>', '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>']
)
def test_a_document_type_is_refused_before_anything_is_read(tmp_path, doctype):
    path = tmp_path / 'a.ome.tif'
    name = '&m;' if 'lolz' in doctype else '&a;'
    text = ome(f'<Image Name="a">{pixels()}</Image><a>{name}</a>', doctype)
    with pytest.raises(RefusedError, match='document type'):
        ome_images(text)
    tifffile.imwrite(path, RGB, photometric='rgb', metadata=None, description=text)
    for read in (read_image, read_size, open_source):
        with pytest.raises(ValueError, match=r'a\.ome\.tif: has a document type'):
            read(path)


CHANNELS = {
    'none': ({}, None),
    'letters': (dict(Name=['R', 'G', 'B']), None),
    'words': (dict(Name=['Red', 'green', 'BLUE']), None),
    'numbers': (dict(Name=['Channel 0', 'Ch:1', '2']), None),
    'colours': (dict(Color=[RED, GREEN, BLUE]), None),
    'both': (dict(Name=['c1', 'c2', 'c3'], Color=[RED, GREEN, BLUE]), None),
    'stains': (dict(Name=['DAPI', 'FITC', 'Cy5']), 'the channels DAPI, FITC, Cy5, not'),
    'order': (dict(Name=['B', 'G', 'R']), 'the channels B, G, R, not red, green'),
    'other colours': (dict(Color=[BLUE, GREEN, RED]), 'channels of other colours'),
    'stains as colours': (
        dict(Name=['DAPI', 'FITC', 'Cy5'], Color=[RED, GREEN, BLUE]),
        'the channels DAPI',
    ),
}


@pytest.mark.parametrize('kind', CHANNELS)
def test_three_pages_are_red_green_and_blue_or_refused(tmp_path, kind):
    channels, message = CHANNELS[kind]
    path = tmp_path / 'a.ome.tif'
    metadata = dict(axes='CYX', Channel=channels) if channels else dict(axes='CYX')
    options = dict(photometric='minisblack', ome=True, metadata=metadata)
    tifffile.imwrite(path, PLANES, **options)
    if message is None:
        assert (read_image(path) == RGB).all()
        assert (open_source(path).read(0, 0, 0, 60, 80) == RGB).all()
        return
    for read in (read_image, open_source):
        with pytest.raises(ValueError, match=rf'a\.ome\.tif: holds .*{message}'):
            read(path)


@pytest.mark.parametrize('photometric', ['miniswhite', 'palette'])
def test_pages_that_are_no_levels_of_light_are_refused(tmp_path, photometric):
    path = tmp_path / 'a.ome.tif'
    colormap = np.zeros((3, 256), np.uint16) if photometric == 'palette' else None
    options = dict(photometric=photometric, ome=True, metadata=dict(axes='CYX'))
    tifffile.imwrite(path, PLANES, colormap=colormap, **options)
    with pytest.raises(ValueError, match=f'3-channel {photometric}'):
        read_image(path)


def write_images(path, *images):
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, image in images:
            metadata = dict(axes='YXS', Name=name, PhysicalSizeX=0.5)
            file.write(image, photometric='rgb', metadata=metadata)


@pytest.mark.parametrize('order', [1, -1])
def test_the_largest_of_several_images_is_read_and_named(tmp_path, order):
    path = tmp_path / 'a.ome.tif'
    images = ('left half', RGB), ('right half', RGB[:50, :50])
    write_images(path, *images[::order])
    said = (
        r"a\.ome\.tif: holds 2 images; 'left half' of 60 x 80 px is read.*'right half'"
    )
    for read in (read_image, lambda path: open_source(path).image):
        with pytest.warns(UserWarning, match=said):
            assert (read(path) == RGB).all()
    with pytest.warns(UserWarning, match=said):
        assert read_size(path) == (60, 80)


def test_labels_and_overviews_need_no_word(tmp_path):
    path = tmp_path / 'a.ome.tif'
    names = 'label image', 'Macro', 'overview', 'Thumbnail'
    small = [(name, RGB[: 9 + i, :9]) for i, name in enumerate(names)]
    write_images(path, ('slide', RGB), *small)
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        assert (read_image(path) == RGB).all()


def test_images_of_one_size_are_refused(tmp_path):
    path = tmp_path / 'a.ome.tif'
    write_images(path, ('left', RGB), ('right', RGB))
    with pytest.raises(
        ValueError, match=r'a\.ome\.tif: holds 2 pages of the same size'
    ):
        read_image(path)


def tiff_data(name, ifd=0, channel=0, uuid='urn:uuid:other'):
    return (
        f'<TiffData IFD="{ifd}" FirstC="{channel}" PlaneCount="1">'
        f'<UUID FileName="{name}">{uuid}</UUID></TiffData>'
    )


def test_an_image_in_several_files_is_refused(tmp_path):
    path = tmp_path / 'a.ome.tif'
    tifffile.imwrite(tmp_path / 'b.tif', RGB[..., 1], metadata=None)
    planes = [tiff_data('a.ome.tif', 0, 0, 'urn:uuid:a'), tiff_data('b.tif', 0, 1)]
    for more in (tiff_data('b.tif', 0, 2), tiff_data('gone.tif', 0, 2)):
        text = ome(f'<Image>{pixels("".join([*planes, more]))}</Image>')
        options = dict(photometric='minisblack', metadata=None, description=text)
        tifffile.imwrite(path, RGB[..., 0], **options)
        for read in (read_image, open_source):
            with pytest.raises(ValueError, match='names other files or pages that are'):
                read(path)


def test_the_pixels_of_another_file_are_not_read(tmp_path):
    """A copy that was renamed, beside the file that its OME-XML names."""
    path = tmp_path / 'renamed.ome.tif'
    channel = '<Channel SamplesPerPixel="3"/>'
    text = ome(f'<Image>{pixels(channel + tiff_data("original.tif"))}</Image>')
    options = dict(photometric='rgb', metadata=None, description=text)
    tifffile.imwrite(path, RGB, **options)
    tifffile.imwrite(tmp_path / 'original.tif', 255 - RGB, **options)
    with pytest.raises(ValueError, match=r'renamed\.ome\.tif: .*names other files'):
        read_image(path)
