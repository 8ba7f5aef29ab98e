"""Parts of the preparation of slides that need no folder."""

from contextlib import closing

import numpy as np
import pytest
import shapely
from small_slides import SHAPE, write_slide

from mmseg_ftu.io.slide_source import SlideSource, scanned_corner
from mmseg_ftu.io.sources import ArraySource, open_source
from mmseg_ftu.io.working_image import read_resized
from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.preparation.slide_faults import find_origin, place_faults
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_outlines import SlideOutlines
from mmseg_ftu.preparation.slide_tiles import tile_boxes
from mmseg_ftu.preparation.slide_tissue import SlideTissue
from mmseg_ftu.preparation.tile_writer import read_tile


@pytest.mark.parametrize(
    ('length', 'tile', 'overlap', 'starts'),
    [
        (10, 16, 0, [0]),
        (16, 16, 0, [0]),
        (32, 16, 0, [0, 16]),
        (33, 16, 0, [0, 8, 17]),
        (40, 16, 0, [0, 12, 24]),
        (40, 16, 8, [0, 8, 16, 24]),
    ],
)
def test_boxes(length, tile, overlap, starts):
    boxes = tile_boxes((length, 16), tile, overlap)
    assert [box[0] for box in boxes] == starts
    assert {box[2:] for box in boxes} == {(min(tile, length), min(tile, 16))}


def outlines_of(*shapes):
    units = tuple(Annotation(s, 'Unit', '', i) for i, s in enumerate(shapes, start=1))
    return SlideOutlines(units)


def options(origin=None):
    return SlideOptions('slides', 'annotations', 1.0, origin=origin)


@pytest.fixture
def cropped(shared_data):
    """A slide of which only a part was scanned, as OpenSlide says of MIRAX."""
    path = shared_data('stain_images') / 'cmu_small_region.svs'
    slide = SlideSource(path)
    assert slide.scanned_from == (0, 0)
    assert find_origin(slide, outlines_of(), options()) == ([], (0, 0))
    slide.scanned_from = (1000, 500)
    with closing(slide):
        yield slide


@pytest.mark.parametrize(
    ('properties', 'corner'),
    [
        ({}, (0, 0)),
        ({'openslide.bounds-x': '500', 'openslide.bounds-y': '1000'}, (1000, 500)),
        ({'openslide.bounds-x': '500'}, (0, 500)),
        ({'openslide.bounds-x': 'x'}, (0, 0)),
    ],
)
def test_scanned_corner(properties, corner):
    assert scanned_corner(properties) == corner


@pytest.mark.parametrize(
    ('place', 'fits'),
    [
        ((100, 100), '--origin slide and --origin bounds'),
        ((1900, 2500), '--origin slide'),
        ((-300, -300), '--origin bounds'),
    ],
)
def test_a_slide_with_an_empty_canvas_asks_for_the_origin(cropped, place, fits):
    """QuPath counts from the scanned part, OpenSlide from the canvas."""
    x, y = place
    outlines = outlines_of(shapely.box(x, y, x + 200, y + 200))
    (fault,), _ = find_origin(cropped, outlines, options())
    assert 'begins at x 500, y 1,000, from where QuPath counts' in fault
    assert fault.endswith(f'with: {fits})')
    assert find_origin(cropped, outlines, options('bounds')) == ([], (1000, 500))
    assert find_origin(cropped, outlines, options('slide')) == ([], (0, 0))


def test_outlines_are_moved():
    outlines = outlines_of(shapely.box(0, 0, 10, 20)).moved(1000, 500)
    assert outlines.units[0].outline.bounds == (500, 1000, 510, 1020)
    assert outlines.regions is None


@pytest.mark.parametrize(
    ('box', 'count', 'cut'),
    [
        ((0, 0, 520, 400), 0, 0),
        ((500, 380, 539, 400), 0, 1),  # just over half of it is seen
        ((500, 380, 541, 400), 1, 0),
        ((-20, 0, 21, 10), 0, 1),
        ((600, 0, 700, 10), 1, 0),
    ],
)
def test_outlines_outside(box, count, cut):
    faults, found = place_faults(outlines_of(shapely.box(*box)).all, SHAPE)
    assert (len(faults), 0 if faults else found) == (count, cut)


def test_tissue(tmp_path):
    image = write_slide(tmp_path / 'a.tif')
    with closing(open_source(tmp_path / 'a.tif')) as source:
        tissue = SlideTissue.find(source, 130)
        large = SlideTissue.find(source, 5000)
    assert tissue.thumbnail.shape == (100, 130, 3)
    assert (large.thumbnail == image).all()
    boxes = np.array([[0, 0, 200, 100], [0, 210, 200, 50], [0, 198, 200, 20]])
    assert tissue.shares(boxes, (200, 260)) == pytest.approx([1, 0, 0.5], abs=0.1)


def test_glass_alone_has_no_tissue():
    source = ArraySource(np.full((64, 64, 3), 244, np.uint8))
    assert not SlideTissue.find(source).is_tissue.any()


@pytest.mark.parametrize('scale', [1, 2, 3.3, 12])
def test_a_large_tile_is_read_in_parts(tmp_path, scale):
    write_slide(tmp_path / 'a.tif')
    shape = round(SHAPE[0] / scale), round(SHAPE[1] / scale)
    box = 3, 5, shape[0] - 8, shape[1] - 10
    with closing(open_source(tmp_path / 'a.tif')) as source:
        whole = read_resized(source, shape)
        found = read_tile(source, shape, box)
        parts = read_tile(source, shape, box, side=64)
    np.testing.assert_array_equal(found, whole[3:-5, 5:-5])
    np.testing.assert_array_equal(parts, whole[3:-5, 5:-5])
