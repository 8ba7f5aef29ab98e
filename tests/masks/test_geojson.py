import gzip
import json
import os
import uuid

import numpy as np
import pytest
import shapely
from run_masks import runs_of
from scipy import ndimage

from mmseg_ftu.masks import rle
from mmseg_ftu.masks.clean_objects import clean_objects
from mmseg_ftu.masks.geojson import write_geojson
from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.outlines import trace_outlines
from mmseg_ftu.masks.read_annotations import read_annotations


def drawn(*rows):
    return np.array([[pixel == '#' for pixel in row] for row in rows])


# What outlines go wrong at: corners that touch, in every combination with holes.
MASKS = {
    'empty': drawn('....', '....'),
    'full': drawn('###', '###'),
    'one pixel': drawn('...', '.#.', '...'),
    'diagonal': drawn('#..', '.#.', '..#'),
    'other diagonal': drawn('..#', '.#.', '#..'),
    'diamond around a hole': drawn('.#.', '#.#', '.#.'),
    'closed by a corner': drawn('####', '#..#', '#.#.', '##..'),
    'closed by a corner inside': drawn('#####', '#.###', '##..#', '#####'),
    'hole with an island': drawn('#####', '#...#', '#.#.#', '#...#', '#####'),
    'island at a corner': drawn('#####', '#...#', '#.#.#', '##..#', '#####'),
    'holes that touch': drawn('####', '#.##', '##.#', '####'),
    'hole at the border': drawn('##.##', '#...#', '#####'),
    'checkers': np.indices((6, 7)).sum(0) % 2 == 0,
    **{
        f'noise {density} {seed}': np.random.default_rng(seed).random((31, 40))
        < density
        for density in (0.2, 0.5, 0.8)
        for seed in range(3)
    },
}


def written(path, mask, **options):
    objects = find_objects(runs_of(mask))
    write_geojson(path, objects, **options)
    return json.loads(path.read_text()), objects


def contained(geometry, shape):
    """Return the pixels whose centre lies in a geometry, by GEOS."""
    y, x = np.indices(shape) + 0.5
    return shapely.contains_xy(geometry, x, y)


@pytest.mark.parametrize('name', MASKS)
def test_polygons_are_valid_and_hold_exactly_the_pixels(tmp_path, name):
    mask = MASKS[name]
    collection, _ = written(tmp_path / 'a.geojson', mask)
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    assert collection['type'] == 'FeatureCollection'
    assert len(collection['features']) == count
    for k, feature in enumerate(collection['features'], 1):
        geometry = shapely.from_geojson(json.dumps(feature['geometry']))
        assert shapely.is_valid(geometry), shapely.is_valid_reason(geometry)
        np.testing.assert_array_equal(contained(geometry, mask.shape), labels == k)
        assert geometry.area == (labels == k).sum()
        parts = ndimage.label(labels == k)[1]
        assert shapely.get_num_geometries(geometry) == parts
        assert geometry.geom_type == ('Polygon' if parts == 1 else 'MultiPolygon')


def test_a_pixel_is_outlined_at_its_edges():
    (polygons,) = trace_outlines(find_objects(runs_of(drawn('...', '.#.'))))
    ((ring,),) = polygons
    assert ring.tolist() == [[1, 2], [1, 1], [2, 1], [2, 2], [1, 2]]


def test_rings_have_no_superfluous_points_and_turn_as_in_rfc_7946():
    mask = drawn('#####', '#...#', '#####')
    (polygons,) = trace_outlines(find_objects(runs_of(mask)))
    ((outline, hole),) = polygons
    assert (len(outline), len(hole)) == (5, 5)
    assert shapely.LinearRing(outline).is_ccw
    assert not shapely.LinearRing(hole).is_ccw


def test_a_feature_is_what_qupath_reads(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[2:6, 3:10] = mask[10:12, 20:25] = True
    options = dict(
        name='glomerulus', colour=(1, 2, 3), pixel_size=0.5, object_type='detection'
    )
    means = np.array([0.75, 0.123456])
    path = tmp_path / 'a.geojson'
    collection, _ = written(path, mask, mean_probability=means, **options)
    first, second = collection['features']
    assert first == {
        'type': 'Feature',
        'id': str(uuid.UUID(first['id'])),
        'geometry': {
            'type': 'Polygon',
            'coordinates': [[[3, 6], [3, 2], [10, 2], [10, 6], [3, 6]]],
        },
        'properties': {
            'objectType': 'detection',
            'classification': {'name': 'glomerulus', 'color': [1, 2, 3]},
            'measurements': {'Area µm^2': 7.0, 'Mean probability': 0.75},
        },
    }
    assert second['properties']['measurements']['Mean probability'] == 0.1235
    assert first['id'] != second['id']
    before = path.read_bytes()
    written(path, mask, mean_probability=means, **options)
    assert path.read_bytes() == before


def test_compressed_files_are_read_back_and_equal(tmp_path):
    mask = MASKS['noise 0.5 0']
    plain, packed = tmp_path / 'a.geojson', tmp_path / 'a.geojson.gz'
    for path in (plain, packed):
        write_geojson(path, find_objects(runs_of(mask)))
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    found = [read_annotations(path).annotations for path in (plain, packed)]
    assert found[0] == found[1]
    before = packed.read_bytes()
    write_geojson(packed, find_objects(runs_of(mask)))
    assert packed.read_bytes() == before


@pytest.mark.parametrize(
    ('simplify', 'pixel_size', 'expected'),
    [
        (0, None, {'kind': 'exact', 'largest_deviation_px': 0}),
        (
            1.5,
            0.25,
            {
                'kind': 'smooth',
                'largest_deviation_px': 1.5,
                'largest_deviation_um': 0.375,
            },
        ),
    ],
)
def test_the_file_says_how_exact_it_is(tmp_path, simplify, pixel_size, expected):
    options = dict(simplify=simplify, pixel_size=pixel_size)
    collection, _ = written(tmp_path / 'a.geojson', drawn('##'), **options)
    assert collection['mmseg_ftu'] == {'outlines': expected}


def test_coordinates_begin_at_the_origin(tmp_path):
    mask = drawn('....', '..#.')
    collection, _ = written(tmp_path / 'a.geojson', mask, origin=(1, 3))
    (feature,) = collection['features']
    ring = [[-1, 1], [-1, 0], [0, 0], [0, 1], [-1, 1]]
    assert feature['geometry']['coordinates'] == [ring]


def test_areas_are_in_px_where_the_pixel_size_is_unknown(tmp_path):
    collection, _ = written(tmp_path / 'a.geojson', drawn('##'))
    (feature,) = collection['features']
    assert feature['properties']['objectType'] == 'annotation'
    assert feature['properties']['measurements'] == {'Area px^2': 2}


@pytest.mark.parametrize('tolerance', [0.8, 2])
def test_simplified_outlines_stay_valid_and_near(tmp_path, tolerance):
    mask = MASKS['noise 0.5 0'].repeat(6, 0).repeat(6, 1)
    y, x = np.indices((200, 200)) - 100
    disc = np.hypot(y, x) < 80
    for name, pixels in (('noise', mask), ('disc', disc)):
        path = tmp_path / f'{name}.geojson'
        exact, objects = written(path, pixels)
        simple, _ = written(path, pixels, simplify=tolerance)
        for one, other in zip(exact['features'], simple['features'], strict=True):
            one, other = (
                shapely.from_geojson(json.dumps(f['geometry'])) for f in (one, other)
            )
            assert other.is_valid
            for part in shapely.get_parts(other):
                assert part.exterior.is_ccw  # RFC 7946
                assert not any(hole.is_ccw for hole in part.interiors)
            assert one.hausdorff_distance(other) <= tolerance + 1e-6
        assert len(objects) == len(simple['features'])
    assert shapely.get_num_coordinates(other) < shapely.get_num_coordinates(one) / 2


def test_real_masks(tmp_path, shared_data):
    import pandas as pd

    table = pd.read_csv(shared_data('hubmap2022_mini') / 'train.csv')
    assert len(table) >= 2
    for row in table.head(2).itertuples():
        mask = rle.decode(row.rle, (row.img_height, row.img_width))
        collection, objects = written(tmp_path / 'a.geojson', mask)
        geometries = [
            shapely.from_geojson(json.dumps(feature['geometry']))
            for feature in collection['features']
        ]
        assert all(shapely.is_valid(geometries))
        shapely.prepare(geometries)  # or each point meets each edge
        assert [geometry.area for geometry in geometries] == objects.area.tolist()
        found = np.zeros(mask.shape, bool)
        for k, geometry in enumerate(geometries):
            box = np.s_[
                objects.top[k] : objects.bottom[k], objects.left[k] : objects.right[k]
            ]
            y, x = np.mgrid[box] + 0.5
            found[box] |= shapely.contains_xy(geometry, x, y)
        np.testing.assert_array_equal(found, mask)


def test_dropped_objects_are_not_written(tmp_path):
    mask = runs_of(drawn('#..##', '...##', '.....', '##...'))
    write_geojson(tmp_path / 'a.geojson', clean_objects(mask, min_area_px=2))
    collection = json.loads((tmp_path / 'a.geojson').read_text())
    places = [f['geometry']['coordinates'][0][1] for f in collection['features']]
    assert places == [[3, 0], [0, 3]]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(object_type='cell'), "object_type 'cell'"),
        (dict(simplify=-1), 'simplify -1'),
        (dict(simplify=np.inf), 'simplify inf'),
        (dict(mean_probability=np.zeros(2)), '2 mean probabilities for 1 objects'),
    ],
)
def test_refuses_and_leaves_the_old_file(tmp_path, options, message):
    path = tmp_path / 'a.geojson'
    path.write_text('old')
    with pytest.raises(ValueError, match=message):
        written(path, drawn('#'), **options)
    assert path.read_text() == 'old'


def test_a_failure_half_way_keeps_the_old_file_and_leaves_no_other(tmp_path):
    path = tmp_path / 'a.geojson'
    path.write_text('old')
    means = np.array([0.5, 'x'], object)  # fails at the second feature
    with pytest.raises(ValueError, match='x'):
        written(path, drawn('#.#'), mean_probability=means)
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.geojson']
