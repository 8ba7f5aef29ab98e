"""The pixel size of a file, what is not believed, and who is told."""

import warnings

import cv2
import numpy as np
import openslide
import pytest
import tifffile
from small_models import noise

from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.loader import Loader
from mmseg_ftu.io.pixel_size import (
    UNKNOWN,
    PixelSize,
    slide_pixel_size,
    tiff_pixel_size,
)
from mmseg_ftu.io.sources import ArraySource, open_source
from mmseg_ftu.io.tiff_regions import TiffRegions
from mmseg_ftu.recipe import Recipe

IMAGE = noise(20, 30)


def tag(x, y=None, unit='CENTIMETER', **more):
    return dict(resolution=(x, y or x), resolutionunit=unit, **more)


def ome(**metadata):
    return dict(ome=True, metadata=dict(axes='YXS') | metadata)


def imagej(x, y=None, **metadata):
    return dict(imagej=True, resolution=(x, y or x), metadata=metadata)


def write(path, options):
    options = dict(options)
    with tifffile.TiffWriter(
        path, ome=options.pop('ome', False), imagej=options.pop('imagej', False)
    ) as file:
        file.write(IMAGE, photometric='rgb', **options)


def pixel_size_of(path):
    with tifffile.TiffFile(path) as file:
        return tiff_pixel_size(file)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (tag(20_000), 0.5),
        (tag(25_000), 0.4),
        (tag(50_800, unit='INCH'), 0.5),
        (tag(2_000), 5.0),
        (tag(200_000), 0.05),
        (tag(20_000, 20_100), 0.49875),  # scanners differ by so much
        (tag(1, unit='NONE'), None),
        ({}, None),
        (ome(PhysicalSizeX=0.25, PhysicalSizeY=0.25), 0.25),
        (ome(PhysicalSizeX=0.25), 0.25),
        (ome(PhysicalSizeY=0.25), 0.25),
        (ome(PhysicalSizeX=250, PhysicalSizeXUnit='nm', PhysicalSizeY=0.25), 0.25),
        (ome(PhysicalSizeX=2.5e-4, PhysicalSizeXUnit='mm'), 0.25),
        (ome(PhysicalSizeX=16.0), 16.0),  # an overview, and said as a length
        (ome(PhysicalSizeX=1, PhysicalSizeXUnit='pixel'), None),
        (tag(20_000) | ome(), 0.5),
        (tag(72, unit='INCH') | ome(PhysicalSizeX=0.25), 0.25),
        (tag(72, unit='INCH') | imagej(4, unit='um'), 0.25),
        (imagej(4, unit='micron'), 0.25),
        (imagej(4, unit='\\u00B5m'), 0.25),
        (imagej(4, 4000, unit='um', yunit='mm'), 0.25),
        (imagej(4, unit='pixel'), None),
        (imagej(4), None),
    ],
)
def test_pixel_size_of_a_tiff(tmp_path, options, expected):
    path = tmp_path / 'a.tif'
    write(path, options)
    found = pixel_size_of(path)
    assert found.um == (expected and pytest.approx(expected, abs=1e-5))
    assert found.fault is None
    source = open_source(path)
    assert isinstance(source, ArraySource)
    assert (source.pixel_size, source.pixel_size_fault) == found


@pytest.mark.parametrize(
    ('options', 'fault'),
    [
        (
            tag(72, unit='INCH'),
            'tag, 72 px per inch, would be 353 um/px, which is',
        ),
        (tag(96, unit='INCH'), '96 px per inch, would be 265 um/px'),
        (tag(300, unit='INCH'), '300 px per inch, would be 84.7 um/px'),
        (tag(2400, unit='INCH'), '2400 px per inch, would be 10.6 um/px'),
        (tag(4800, unit='INCH'), '4800 px per inch, would be 5.29 um/px'),
        (tag(1), '1 px per cm, would be 1e+04 um/px'),
        (tag(1e7), '1e+07 px per cm, would be 0.001 um/px'),
        (
            tag(40_000, 20_000),
            '40000 x 20000 px per cm, would be 0.25 x 0.5 um/px',
        ),
        (
            tag(20_000, 300),
            '20000 x 300 px per cm, would be 0.5 x 33.3 um/px',
        ),
        (ome(PhysicalSizeX=0.25, PhysicalSizeY=0.5), '0.25 µm x 0.5 µm, would be'),
        (ome(PhysicalSizeX=0.00025), 'OME-XML, 0.00025 µm, would be 0.00025 um/px'),
        (ome(PhysicalSizeX=0.0), 'OME-XML, 0 µm, would be 0 um/px'),
        (
            ome(PhysicalSizeX=0.25, PhysicalSizeY=0.25, PhysicalSizeYUnit='nm'),
            '0.25 µm x 0.25 nm, would be 0.25 x 0.00025 um/px, which is not plausible',
        ),
        (imagej(72, unit='inch'), 'ImageJ, 72 px per inch, would be 353 um/px'),
        (imagej(4, 2, unit='um'), 'ImageJ, 4 px per um, would be 0.25 x 0.5 um/px'),
    ],
)
def test_what_is_not_plausible_or_square_is_not_believed(tmp_path, options, fault):
    path = tmp_path / 'a.tif'
    write(path, options)
    found = pixel_size_of(path)
    assert found.um is None
    assert fault in found.fault


def test_of_several_images_that_of_the_largest_counts(tmp_path):
    path = tmp_path / 'a.ome.tif'
    with tifffile.TiffWriter(path, ome=True) as file:
        for name, image, size in (('Macro', IMAGE[:9, :9], 16.0), ('', IMAGE, 0.25)):
            metadata = dict(axes='YXS', Name=name, PhysicalSizeX=size)
            file.write(image, photometric='rgb', metadata=metadata)
    assert pixel_size_of(path).um == pytest.approx(0.25)
    assert open_source(path).shape == (20, 30)


def test_pixel_size_of_an_ome_pyramid(tmp_path):
    path = tmp_path / 'a.ome.tif'
    with tifffile.TiffWriter(path, ome=True) as file:
        options = dict(photometric='rgb', tile=(64, 64))
        metadata = dict(axes='YXS', PhysicalSizeX=250, PhysicalSizeXUnit='nm')
        file.write(noise(256, 256), subifds=1, metadata=metadata, **options)
        file.write(noise(128, 128), subfiletype=1, **options)
    source = open_source(path)
    assert isinstance(source, TiffRegions)
    assert source.pixel_size == pytest.approx(0.25)
    source.close()


def test_pixel_size_of_a_damaged_tiff(tmp_path):
    path = tmp_path / 'a.tif'
    write(path, tag(20_000) | ome())
    path.write_bytes(path.read_bytes().replace(b'<Pixels', b'<Pixel<'))
    with tifffile.TiffFile(path) as file:
        file.pages[0].tags['ResolutionUnit'].value = 77
        assert tiff_pixel_size(file) == UNKNOWN


class Slide:
    """Stands in for OpenSlide's slides, of which the tests have but one."""

    def __init__(self, **properties):
        names = dict(
            x=openslide.PROPERTY_NAME_MPP_X,
            y=openslide.PROPERTY_NAME_MPP_Y,
            vendor=openslide.PROPERTY_NAME_VENDOR,
        )
        self.properties = {names[name]: value for name, value in properties.items()}


@pytest.mark.parametrize(
    ('slide', 'um', 'fault'),
    [
        (Slide(x='0.5', y='0.5', vendor='aperio'), 0.5, None),
        (Slide(x='0.2279', y='0.2272', vendor='hamamatsu'), 0.22755, None),
        (Slide(x='0.5', vendor='aperio'), 0.5, None),
        (Slide(x='10.6', y='10.6', vendor='aperio'), 10.6, None),
        (
            Slide(x='10.6', y='10.6', vendor='generic-tiff'),
            None,
            'be 10.6 um/px',
        ),
        (Slide(x='0', y='0', vendor='aperio'), None, 'not plausible'),
        (Slide(x='0.25', y='0.5', vendor='aperio'), None, 'is not square'),
        (Slide(x='wide', y='0.5', vendor='aperio'), None, None),
        (Slide(vendor='aperio'), None, None),
    ],
)
def test_pixel_size_of_a_slide(slide, um, fault):
    found = slide_pixel_size(slide)
    assert found.um == (um and pytest.approx(um, abs=1e-4))
    assert (found.fault is None) == (fault is None)
    assert fault is None or fault in found.fault


def test_tiles_are_refused_with_what_the_tag_says(tmp_path):
    path = tmp_path / 'a.tif'
    write(path, tag(2400, unit='INCH'))
    load = Loader(Recipe(16, 1.0), 'tiles', temporary=tmp_path)
    said = r'a\.tif: .*the image is unknown \(the resolution tag, 2400 px per inch'
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        with pytest.raises(
            ValueError, match=said + r'.*10\.6 um/px.*with --pixel-size'
        ):
            load(Job('a', path))
        load(Job('a', path, pixel_size=0.5)).close()  # given, so nothing to say
    missing = 'pixel size of the training data is unknown'
    with pytest.raises(ValueError, match=missing):
        Loader(Recipe(16, None), 'tiles')(Job('a', path))


@pytest.mark.parametrize('recipe', [Recipe(16, 1.0), Recipe(None, 1.0)])
def test_what_is_not_used_is_said_where_it_is_not_needed(tmp_path, recipe):
    for name in ('a.tif', 'b.tif'):
        write(tmp_path / name, tag(300, unit='INCH'))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('default')  # as Python does, each text once
        for name in ('a.tif', 'b.tif'):
            loaded = Loader(recipe, 'whole')(Job('a', tmp_path / name))
            assert loaded.pixel_size is None
    (warning,) = said
    text = 'the resolution tag, 300 px per inch, would be 84.7 um/px, which is not'
    assert str(warning.message).startswith(text)
    assert str(warning.message).endswith('it is not used: give --pixel-size')


def test_the_pixel_size_of_a_copy_goes_by_both_sides(tmp_path):
    """A copy of 1000 x 2000 px, rounded in one side more than in the other."""
    source = ArraySource(np.full((21, 40, 3), 200, np.uint8), PixelSize(50.0))
    loaded = Loader(Recipe(16, None))(
        Job('a', tmp_path / 'a.tif', original_shape=(1000, 2000)), source
    )
    scale = ((21 / 1000) * (40 / 2000)) ** 0.5
    assert loaded.pixel_size == pytest.approx(50 * scale)


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_other_formats_give_none(tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f'a.{suffix}'), IMAGE)
    source = open_source(tmp_path / f'a.{suffix}')
    assert (source.pixel_size, source.pixel_size_fault) == UNKNOWN
