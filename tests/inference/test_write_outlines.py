import json
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest

from mmseg_ftu.inference.file_options import FileOptions, possible_files
from mmseg_ftu.inference.jobs import Job
from mmseg_ftu.inference.loader import Loader
from mmseg_ftu.inference.outputs import write_files
from mmseg_ftu.inference.predictor import Prediction
from mmseg_ftu.inference.probability_map import ProbabilityMap
from mmseg_ftu.io.slide_source import SlideSource
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.read_annotations import read_annotations
from mmseg_ftu.preparation.slide_faults import find_origin
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_outlines import SlideOutlines
from mmseg_ftu.recipe import Recipe


def predicted(mask, pixel_size=0.5, corner=(0, 0)):
    loaded = SimpleNamespace(job=Job('a', 'a.png', 'kidney'), scanned_from=corner)
    soft = ProbabilityMap(mask.astype(np.float32), mask.shape, 0.5, pixel_size)
    return Prediction(loaded, soft)


def dots(count, step=3):
    mask = np.zeros((step * -(-count // 100), 100 * step), bool)
    mask[::step, ::step].flat[:count] = True
    return mask


def write(folder, mask, corner=(0, 0), **options):
    options = FileOptions(('geojson',), **options)
    added = write_files(predicted(mask, corner=corner), folder, options)
    (name,) = added['files']
    assert name in possible_files('a', options)
    return folder / name, added


@pytest.mark.parametrize(
    ('count', 'asked', 'expected'),
    [
        (2000, 'auto', 'annotation'),
        (2001, 'auto', 'detection'),
        (2001, 'annotation', 'annotation'),
        (1, 'detection', 'detection'),
    ],
)
def test_many_objects_become_detections(tmp_path, count, asked, expected):
    path, added = write(tmp_path, dots(count), object_type=asked)
    features = json.loads(path.read_text())['features']
    assert len(features) == added['objects'] == count
    assert {f['properties']['objectType'] for f in features} == {expected}
    assert added['outlines']['object_type'] == expected
    said = [note for note in added['notes'] if 'detections in QuPath' in note]
    assert len(said) == (asked == 'auto' and count > 2000)


def test_the_smallest_of_too_many_are_left_out_and_counted(tmp_path):
    mask = dots(30)
    mask[:2, :2] = True
    path, added = write(tmp_path, mask, max_objects=20)
    assert len(json.loads(path.read_text())['features']) == 20
    assert added['objects'] == 30  # of the image
    assert added['outlines']['objects'] == 20
    (note,) = added['notes']
    assert note.startswith('10 of 30 objects are not in the GeoJSON: the smallest, up')


@pytest.mark.parametrize(
    ('options', 'kind', 'deviation'),
    [
        ({}, 'exact', 0),
        (dict(outline='exact'), 'exact', 0),
        (dict(simplify=0), 'exact', 0),
        (dict(outline='exact', simplify=0), 'exact', 0),
        (dict(outline='smooth'), 'smooth', 1.5),
        (dict(simplify=2), 'smooth', 2),
        (dict(outline='smooth', simplify=3), 'smooth', 3),
    ],
)
def test_outlines_are_recorded(tmp_path, options, kind, deviation):
    path, added = write(tmp_path, dots(3), **options)
    said = json.loads(path.read_text())['mmseg_ftu']['outlines']
    assert said['kind'] == kind
    assert said['largest_deviation_px'] == deviation
    assert said['largest_deviation_um'] == deviation * 0.5
    assert said.items() <= added['outlines'].items()
    assert FileOptions(**options).state()['simplify'] == deviation


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(outline='round'), 'outline: choose from exact, smooth'),
        (dict(outline='exact', simplify=1), 'leave out one of them'),
        (dict(outline='smooth', simplify=0), 'give a distance above 0'),
        (dict(max_objects=0), 'max_objects=0'),
        (dict(origin='tissue'), 'origin: choose from bounds, slide'),
    ],
)
def test_faulty_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FileOptions(**options)


@pytest.mark.parametrize('origin', ['bounds', 'slide'])
@pytest.mark.parametrize('packed', [False, True])
def test_a_slide_with_an_empty_canvas_comes_back(tmp_path, shared_data, origin, packed):
    path = shared_data('stain_images') / 'cmu_small_region.svs'
    with closing(SlideSource(path)) as slide:
        slide.scanned_from = (1000, 500)  # as OpenSlide says of MIRAX
        loaded = Loader(Recipe(64, None), 'whole')(Job('a', path), slide)
        assert loaded.scanned_from == (1000, 500)
        mask = np.zeros(slide.shape, bool)
        mask[1200:1210, 700:705] = mask[1205:1207, 701:730] = True
        file, added = write(
            tmp_path,
            mask,
            loaded.scanned_from,
            origin=origin,
            geojson_gz=packed,
        )
        assert file.name == ('a.geojson.gz' if packed else 'a.geojson')
        found = read_annotations(file)
        options = SlideOptions('slides', 'annotations', 1.0, origin=origin)
        outlines = SlideOutlines.sort(found, options)
        (outline,) = (annotation.outline for annotation in outlines.units)
        corner = np.array([500, 1000] if origin == 'bounds' else [0, 0])
        assert outline.bounds[:2] == tuple(np.array([700, 1200]) - corner)
        faults, step = find_origin(slide, outlines, options)
        assert not faults
        back = fill_polygons([a.outline for a in outlines.moved(*step).all], mask.shape)
        np.testing.assert_array_equal(back.dense(0, mask.shape[0]), mask)
        assert added['outlines']['origin'] == tuple(corner[::-1])


@pytest.mark.parametrize('mode', ['whole', 'tiles'])
def test_all_loaded_images_know_where_the_scanned_part_begins(shared_data, mode):
    path = shared_data('stain_images') / 'cmu_small_region.svs'
    slide = SlideSource(path)
    slide.scanned_from = (7, 9)
    loaded = Loader(Recipe(64, 8.0), mode)(Job('a', path, pixel_size=0.5), slide)
    with closing(loaded):
        assert loaded.scanned_from == (7, 9)


@pytest.mark.parametrize('options', [{}, {'split_px': 5.0}])
def test_what_is_too_large_to_be_split_is_told(tmp_path, options):
    path, added = write(tmp_path, np.ones((4100, 4100), bool), **options)
    assert len(json.loads(path.read_text())['features']) == 1
    said = [note for note in added['notes'] if 'too large to be split' in note]
    assert len(said) == len(options)
