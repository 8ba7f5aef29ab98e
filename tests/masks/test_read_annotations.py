"""Reading annotations: files written here, and real ones of QuPath and others."""

import gzip
import json
import zipfile
from collections import Counter

import numpy as np
import pytest
import roifile

from mmseg_ftu.masks.read_annotations import read_annotations, stem_of

SQUARE = [[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]
HOLE = [[3, 3], [3, 5], [5, 5], [5, 3], [3, 3]]
BOW_TIE = [[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]


def feature(kind='Polygon', coordinates=(SQUARE,), **properties):
    return {
        'type': 'Feature',
        'geometry': {'type': kind, 'coordinates': coordinates},
        'properties': properties,
    }


def collection(*features):
    return {'type': 'FeatureCollection', 'features': [*features]}


@pytest.fixture
def read(tmp_path):
    """Return a function: JSON -> what is read of it."""

    def read_json(content, name='a.geojson'):
        text = content if isinstance(content, str) else json.dumps(content)
        packed = gzip.compress(text.encode()) if name.endswith('gz') else text.encode()
        (tmp_path / name).write_bytes(packed)
        return read_annotations(tmp_path / name)

    return read_json


def with_x(value):
    return json.dumps([feature(coordinates=[[[1, 2], [value, 2], [2, 5]]])])


GLOMERULUS = feature(classification={'name': 'Glomerulus', 'color': [1, 2, 3]})


@pytest.mark.parametrize(
    'content',
    [
        collection(GLOMERULUS),
        {'features': [GLOMERULUS], 'type': 'FeatureCollection', 'other': [{}, 1]},
        [GLOMERULUS],
        GLOMERULUS,
        json.dumps(collection(GLOMERULUS), indent=4) + '\n\n',
        '\ufeff' + json.dumps([GLOMERULUS]),
    ],
)
@pytest.mark.parametrize('name', ['a.geojson', 'a.json', 'a.geojson.gz', 'a.JSON'])
def test_every_way_to_wrap_a_feature(read, content, name):
    found = read(content, name)
    assert found.class_counts == {'Glomerulus': 1}
    assert found.annotations[0].outline.area == 64
    assert (found.mended, found.left_out) == (0, {})


@pytest.mark.parametrize(
    ('properties', 'class_name'),
    [
        ({'classification': {'name': 'Tumor', 'colorRGB': -3670016}}, 'Tumor'),
        ({'classification': {'name': 'Tumor: Positive'}}, 'Tumor: Positive'),
        ({'classification': {'names': ['Tumor', 'Positive']}}, 'Tumor: Positive'),
        ({'classification': {'names': ['Tumor'], 'color': [1, 2, 3]}}, 'Tumor'),
        ({'classification': 'Tumor'}, 'Tumor'),
        ({'classification': {'name': None}}, ''),
        ({'classification': None, 'name': 'roi 1'}, ''),
        ({'name': 'roi 1', 'color': [1, 2, 3], 'objectType': 'annotation'}, ''),
        ({}, ''),
    ],
)
def test_class(read, properties, class_name):
    found = read(collection(feature(**properties))).annotations[0]
    assert found.class_name == class_name
    assert found.name == properties.get('name', '')


@pytest.mark.parametrize(
    ('measurements', 'pixel_size'),
    [
        ([{'name': 'Area µm^2', 'value': 16}, {'name': 'x'}], 0.5),  # up to 0.3
        ({'Area µm^2': 4.0, 'Mean': 3}, 0.25),
        ({'Area px^2': 64.0}, None),
        ([], None),
        ({}, None),
        (None, None),
    ],
)
def test_pixel_size_that_the_area_tells(read, measurements, pixel_size):
    found = read(collection(feature(measurements=measurements)))
    assert found.annotations[0].pixel_size == pixel_size


def test_shapes_with_and_without_area(read):
    found = read(
        collection(
            feature(coordinates=[SQUARE, HOLE]),
            feature('MultiPolygon', [[SQUARE], [[[20, 0], [22, 0], [22, 2]]]]),
            feature('Point', [1, 1]),
            feature('LineString', [[1, 1], [2, 2]]),
            feature('Point', [1, 1]),
            feature('GeometryCollection'),
            {'type': 'Feature', 'geometry': None, 'properties': None},
            feature(coordinates=[[[1, 1], [2, 2], [1, 1]]]),
            feature(coordinates=[[[1, 1, 0], [5, 1, 0], [5, 5, 0], [1, 1, 0]]]),
            feature(coordinates=[]),
        )
    )
    assert [a.outline.area for a in found.annotations] == [60, 66, 8]
    assert [a.number for a in found.annotations] == [1, 2, 9]
    assert found.mended == 0
    assert found.left_out == {
        'Point': 2,
        'LineString': 1,
        'GeometryCollection': 1,
        'object without geometry': 1,
        'outline without area': 2,
    }


def test_an_outline_that_meets_itself_is_mended_and_counted(read):
    found = read([feature(coordinates=[BOW_TIE]), feature(), feature()])
    assert found.mended == 1
    assert [a.outline.is_valid for a in found.annotations] == [True, True, True]
    assert found.annotations[0].outline.area == 8


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'is empty'),
        ('PK', 'is not GeoJSON: it begins with'),
        ('null', 'is not GeoJSON: it begins with'),
        ('17', 'is not GeoJSON: it begins with'),
        ('"x"', 'is not GeoJSON: it begins with'),
        ('[' * 10**5, 'is nested too deeply'),
        ('[' + '1' * 5000, 'holds a number of too many digits'),
        ('[{"a": 1', "is damaged or cut off at character 9 (Expecting ',' delimiter): "
         'export it again'),
        ('[{"type": "Feature"', "Expecting ',' delimiter"),
        ('{"type": "FeatureCollection", "features": [', 'Expecting value'),
        ('{"features": [] "a": 1}', "Expecting ','"),
        ('[] []', 'goes on behind its end'),
        ('{"images": [], "annotations": []}', "holds 'images', 'annotations'"),
        ('[{"x": 1}]', 'object 1 of its list is not a GeoJSON feature'),
        (json.dumps([feature(), feature(coordinates=[[[1, 2], [1, 'a'], [2, 2]]])]),
         'object 2: its coordinates are not pairs of finite numbers'),
        (json.dumps([feature(coordinates=[[[1, 2], [1, float('nan')], [2, 2]]])]),
         'object 1: its coordinates are not pairs of finite numbers'),
        (json.dumps([feature(coordinates=[[1, 2, 3]])]), 'not pairs'),
        (with_x(10**400), 'object 1: its coordinates are not pairs of finite numbers'),
        (with_x('1'), 'object 1: its coordinates are not pairs of finite numbers'),
        (with_x(None), 'object 1: its coordinates are not pairs of finite numbers'),
        (with_x(1e300), 'object 1: its coordinates reach to 1e+300, and no slide'),
        (json.dumps([feature(coordinates=[[[1], [1, 2], [2, 2]]])]), 'not pairs'),
        (json.dumps([feature(coordinates=[1, 2, 3])]), '1: it is not built like'),
        (json.dumps([feature(measurements={'Area um^2': 10**400})]), 'not built like'),
        (json.dumps([feature() | {'geometry': {'type': 'Polygon'}}]), "'coordinates'"),
    ],
)  # fmt: skip
def test_what_is_refused(read, content, message):
    with pytest.raises(ValueError, match=r'a\.geojson: ') as error:
        read(content)
    assert message in str(error.value)


@pytest.mark.parametrize('encoding', ['utf-16', 'latin-1'])
def test_text_that_is_not_utf_8(tmp_path, encoding):
    text = json.dumps([feature(name='Gef\u00e4\u00df')], ensure_ascii=False)
    (tmp_path / 'a.geojson').write_bytes(text.encode(encoding))
    with pytest.raises(ValueError, match=r'a.geojson: is not text in UTF-8, as byte'):
        read_annotations(tmp_path / 'a.geojson')


def test_objects_in_a_stack_are_refused(read):
    there = feature()
    there['geometry']['plane'] = {'c': -1, 'z': 0, 't': 0}
    assert len(read([there]).annotations) == 1
    there['geometry']['plane']['z'] = 2
    with pytest.raises(ValueError, match=r"object 1: it lies in the plane \{'z': 2\}"):
        read([there])


def test_damaged_gzip(tmp_path):
    content = gzip.compress(json.dumps([feature()]).encode())
    (tmp_path / 'a.geojson.gz').write_bytes(content[:-12])
    with pytest.raises(ValueError, match='damaged gzip'):
        read_annotations(tmp_path / 'a.geojson.gz')


@pytest.mark.parametrize(
    ('name', 'stem'),
    [
        ('a.v2.geojson', 'a.v2'),
        ('a.v2.geojson.gz', 'a.v2'),
        ('a.JSON', 'a'),
        ('a.zip', 'a'),
    ],
)
def test_stem(tmp_path, name, stem):
    assert stem_of(tmp_path / name) == stem


# ImageJ


def rois():
    square = roifile.ImagejRoi.frompoints(np.array(SQUARE[:4]), name='square')
    square.roitype = roifile.ROI_TYPE.FREEHAND
    oval = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.OVAL, left=10, top=20, right=30, bottom=60, name='oval'
    )
    box = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=0, top=0, right=3, bottom=2, name='box'
    )
    points = roifile.ImagejRoi.frompoints([[1, 2]], name='p')
    points.roitype = roifile.ROI_TYPE.POINT
    return [square, oval, box, points]


def test_rois_of_imagej(tmp_path):
    path = tmp_path / 'a.zip'
    roifile.roiwrite(path, rois())
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('__MACOSX/._square.roi', b'x')
        archive.writestr('notes.txt', b'x')
    found = read_annotations(path)
    assert [a.name for a in found.annotations] == ['square', 'oval', 'box']
    areas = [a.outline.area for a in found.annotations]
    assert areas == pytest.approx([64, np.pi * 10 * 20, 6], rel=1e-3)
    assert found.left_out == {'point': 1}
    assert found.class_counts == {'': 3}


def test_one_roi_and_a_composite(tmp_path):
    path = tmp_path / 'ring.roi'
    rings = [np.array(ring, np.float32) for ring in (SQUARE, HOLE)]
    moves = []
    for ring in rings:
        moves += [0, *ring[0]]
        for point in ring[1:]:
            moves += [1, *point]
        moves += [4]
    roi = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT,
        multi_coordinates=np.array(moves, np.float32),
        shape_roi_size=len(moves),
        left=1, top=1, right=9, bottom=9,
    )  # fmt: skip
    roi.tofile(path)
    (found,) = read_annotations(path).annotations
    assert found.outline.area == 60


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.roi', b'nonsense', 'a.roi is not a ROI of ImageJ'),
        ('a.zip', b'PK nonsense', 'is damaged'),
        ('a.qpdata', b'', 'export GeoJSON'),
        ('a.xml', b'', 'export GeoJSON'),
    ],
)
def test_files_of_other_kinds(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_annotations(tmp_path / name)


# Real files

REAL = {
    'cv2geojson/img_01.geojson': {'roi': 4},
    'dlup_qupath05.geojson': {'': 3},
    'histoqc_geojson_example_qupath02_list.json': {'Invborder': 1, 'Tumor': 1},
    'histoqc_holed.geojson': {'': 1},
    'kidney_banff_qupath/TPATH038.geojson': {'Normal': 15},
    'kidney_banff_qupath/TPATH042.geojson': {'Normal': 17},
    'kidney_banff_qupath/TPATH046.geojson': {'Normal': 21, 'Sclerotic': 4},
    'kidney_banff_qupath/TPATH078.geojson': {'Normal': 33},
    'kidney_pas_roi_qupath02/4ef6695ce.json': {'G': 1},
    'kidney_pas_roi_qupath02/PAS_I_4_S_1_ROI_3.json': {'G': 3},
    'kidney_pas_roi_qupath02/PAS_I_4_S_2_ROI_1.json': {'G': 1},
    'kidney_pas_roi_qupath02/PAS_I_4_S_2_ROI_3.json': {'G': 1},
    'kidney_pas_roi_qupath02/PAS_I_4_S_3_ROI_1.json': {'G': 1},
    'kidney_pas_roi_qupath02/PAS_I_4_S_3_ROI_2.json': {'': 1, 'G': 2},
    'kidney_pas_roi_qupath02/e79de561c.json': {'FC': 4},
    'imagej_rois/R22_VEGF_C1_RoiSet.zip': {'': 7},
    'imagej_rois/R22_VEGF_C5_RoiSet.zip': {'': 9},
}
MENDED = {'imagej_rois/R22_VEGF_C1_RoiSet.zip': 1}


def ring_area(ring):
    """Return the area of a ring by the shoelace formula, without a library."""
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2


def plain_areas(path):
    """Return class and area of each object, by plain json and arithmetic."""
    content = json.loads(path.read_text('utf-8'))
    features = content if isinstance(content, list) else content.get('features')
    for found in features or [content]:
        coordinates = found['geometry']['coordinates']
        is_one = found['geometry']['type'] == 'Polygon'
        polygons = [coordinates] if is_one else coordinates
        rings = [[ring_area(ring) for ring in polygon] for polygon in polygons]
        name = (found['properties'].get('classification') or {}).get('name', '')
        yield name, sum(outer - sum(holes) for outer, *holes in rings)


@pytest.mark.parametrize('name', REAL)
def test_real_files(shared_data, name):
    path = shared_data('qupath_annotations') / name
    found = read_annotations(path)
    assert found.class_counts == REAL[name]
    assert found.mended == MENDED.get(name, 0)
    assert found.left_out == {}
    if path.suffix != '.zip':
        plain = list(plain_areas(path))
        assert Counter(kind for kind, _ in plain) == REAL[name]
        areas = [(a.class_name, a.outline.area) for a in found.annotations]
        assert areas == [(kind, pytest.approx(area)) for kind, area in plain]


def test_every_other_real_file_is_refused(shared_data):
    folder = shared_data('qupath_annotations')
    files = {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()}
    for name in files - set(REAL):
        with pytest.raises(ValueError, match='is not a file of annotations'):
            read_annotations(folder / name)
