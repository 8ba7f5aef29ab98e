"""What the page is told of an image, whichever kinds of files were saved of it."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import shapely
from small_slides import feature, write_annotations

from mmseg_ftu.inference.writers import write_mask, write_probability
from mmseg_ftu.masks.geojson import write_geojson
from mmseg_ftu.masks.objects import find_objects
from mmseg_ftu.masks.run_mask import RunMask
from mmseg_ftu.view.catalogue import OPEN, Catalogue
from mmseg_ftu.view.truth import Truth
from mmseg_ftu.view.unit_list import MOST_UNITS, UnitList, units_of_table

SHAPE = (600, 800)  # of the images of conftest
DISCS = ((150, 200, 60), (420, 300, 30), (300, 650, 90))  # row, column, radius


@pytest.mark.parametrize(
    ('kinds', 'layers', 'origin'),
    [
        (['masks'], ['units'], 'mask'),
        (['geojson'], ['units'], 'GeoJSON'),
        (['probabilities'], ['probability'], 'probability'),
        (['masks', 'units'], ['units'], 'a.csv'),
        (['units', 'probabilities'], ['probability'], 'a.csv'),
        (['masks', 'geojson', 'probabilities'], ['units', 'probability'], 'mask'),
    ],
)
def test_units_are_found_in_what_was_saved(folder, kinds, layers, origin):
    catalogue = Catalogue(folder.add(kinds=kinds).write())
    with catalogue.opened(0) as image:
        about, units = image.describe(), image.units()
        assert [layer['kind'] for layer in about['layers']] == layers
        assert {layer['name'] for layer in about['layers']} == {'glomerulus'}
        assert about['notes'] == []
        assert (about['pixel_size'], about['threshold']) == (0.5, 0.5)
        assert units.origin == origin
        assert units.names == ['glomerulus']
        order = [0, 2, 1]  # by their first rows
        for place, (row, column, radius) in enumerate(DISCS[k] for k in order):
            box = [column - radius, row - radius, column + radius, row + radius]
            assert units.boxes[place] == pytest.approx(box, abs=1.5)
            assert units.area[place] == pytest.approx(np.pi * radius**2, rel=0.02)
            assert units.numbers[place] == place + 1
            outline = shapely.Polygon(image.outline(place)[0][0])
            assert outline.area == pytest.approx(np.pi * radius**2, rel=0.05)
            assert outline.centroid.x == pytest.approx(column, abs=1.5)
        if kinds != ['masks']:
            assert units.mean == pytest.approx(2 / 3, abs=0.02)
        else:
            assert np.isnan(units.mean).all()
        json.dumps(units.describe(), allow_nan=False)
        with pytest.raises(IndexError):
            image.outline(3)
    catalogue.close()


@pytest.mark.parametrize(('threshold', 'share'), [(0.7, 0.6), (0.9, 0.2)])
def test_units_follow_a_threshold(folder, threshold, share):
    with Catalogue(folder.add().write()).opened(0) as image:
        units = image.units(threshold)
        assert len(units) == 3
        sides = units.boxes[:, 2] - units.boxes[:, 0]
        expected = [2 * DISCS[k][2] * share for k in (0, 2, 1)]
        assert sides == pytest.approx(expected, abs=2.5)
        assert len(image.units(1.0)) == 0
        box = shapely.Polygon(image.outline(1, threshold)[0][0]).bounds
        assert box == pytest.approx(units.boxes[1].tolist(), abs=2)


def test_probabilities_may_be_smaller_than_the_image(folder):
    folder.add(kinds=['probabilities'])
    path = folder.path / 'probabilities' / 'a.tif'
    levels = cv2.imread(str(path), -1)
    cv2.imwrite(str(path), cv2.resize(levels, (400, 300), interpolation=cv2.INTER_AREA))
    with Catalogue(folder.write()).opened(0) as image:
        units = image.units()
        assert units.boxes[0] == pytest.approx([140, 90, 260, 210], abs=3)
        assert units.area[0] == pytest.approx(np.pi * 60**2, rel=0.05)
        box = shapely.Polygon(image.outline(0)[0][0]).bounds
        assert box == pytest.approx([140, 90, 260, 210], abs=4)


def test_mean_probability_of_a_mask_on_another_grid(folder):
    folder.add(kinds=['masks', 'probabilities'])
    path = folder.path / 'probabilities' / 'a.tif'
    levels = cv2.imread(str(path), -1)
    cv2.imwrite(str(path), cv2.resize(levels, (200, 150), interpolation=cv2.INTER_AREA))
    with Catalogue(folder.write()).opened(0) as image:
        assert image.units().mean == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize(
    ('change', 'note'),
    [
        (lambda f: (f.images / 'a.png').unlink(), 'a.png: no such file'),
        (lambda f: (f.images / 'a.png').write_bytes(b'x'), 'cannot be shown'),
        (lambda f: f.rows[0].update(path=''), 'does not say where its file is'),
        (lambda f: (f.path / 'masks/a.png').write_bytes(b'x'), 'mask is not drawn'),
        (lambda f: f.rows[0].update(width=400), 'may be another image'),
    ],
    ids=['no image', 'damaged image', 'no path', 'damaged mask', 'other size'],
)
def test_what_is_wrong_is_said_and_the_rest_goes_on(folder, change, note):
    folder.add()
    change(folder)
    catalogue = Catalogue(folder.write())
    with catalogue.opened(0) as image:
        about = image.describe()
        assert any(note in said for said in about['notes'])
        assert about['layers']
        assert image.picture.get().tile(0, 0, 0).shape[:2] == (512, 512)
        assert len(image.units()) == 3
    assert catalogue.thumbnail(0)


@pytest.mark.parametrize('key', ['a', 'other'])
def test_moved_images_are_found_again(folder, key):
    folder.add()
    moved = (folder.images / 'a.png').rename(folder.images / f'{key}.png')
    folder.rows[0]['path'] = f'/no/such/{key}.png'
    catalogue = Catalogue(folder.write(), images={key: moved})
    with catalogue.opened(0) as image:
        assert image.describe()['notes'] == []


def test_nothing_was_saved(folder):
    with Catalogue(folder.add(kinds=[]).write()).opened(0) as image:
        about = image.describe()
        assert about['layers'] == []
        assert 'predict with --save' in about['notes'][0]
        assert len(image.units()) == 0


def test_an_image_that_failed_says_why(folder):
    folder.add(kinds=[], status='failed', reason='too dark')
    catalogue = Catalogue(folder.write())
    assert catalogue.rows[0].describe()['fault'] == 'too dark'
    with catalogue.opened(0) as image:
        assert image.describe()['notes'] == []


def test_classes_of_outlines_are_layers(folder):
    folder.add(kinds=[])
    shapes = [shapely.Point(100, 100).buffer(20), shapely.Point(300, 300).buffer(40)]
    features = [feature(shapes[0], 'Tumor'), feature(shapes[1], None)]
    write_annotations(folder.path / 'geojson' / 'a.geojson', *features)
    record = folder.path / 'records' / 'a.json'
    record.parent.mkdir()
    record.write_text('{"outlines": {"origin": [50, 10]}}')  # counts from there
    with Catalogue(folder.write()).opened(0) as image:
        assert [x['name'] for x in image.describe()['layers']] == [
            'Tumor',
            'glomerulus',
        ]
        units = image.units()
        assert units.names == ['Tumor', 'glomerulus']
        assert units.boxes[0] == pytest.approx([90, 130, 130, 170])
        assert image.layers()[0].pixels.read(0, 150, 110, 1, 1) == 255
        assert image.layers()[1].pixels.read(0, 150, 110, 1, 1) == 0


@pytest.mark.parametrize('kind', ['masks', 'labels', 'outlines', 'absent', 'size'])
def test_ground_truth(folder, tmp_path, kind):
    folder.add(kinds=['masks'])
    path = tmp_path / 'truth'
    path.mkdir()
    mask = np.zeros(SHAPE, np.uint8)
    mask[100:200, 100:300] = 2 if kind == 'labels' else 1
    mask[300:400, 100:300] = 1 if kind == 'labels' else 0
    if kind == 'outlines':
        write_annotations(
            path / 'a.png.geojson', feature(shapely.box(100, 100, 300, 200))
        )
    else:
        mask = mask[::2, ::2] if kind == 'size' else mask
        cv2.imwrite(str(path / ('b.png' if kind == 'absent' else 'a.png')), mask)
    truth = Truth(path, [2] if kind == 'labels' else 'auto')
    with Catalogue(folder.write(), truth).opened(0) as image:
        about = image.describe()
        layers = [x for x in image.layers() if x.kind == 'truth']
        assert [len(layers), len(about['notes'])] == {
            'absent': [0, 1],
            'size': [1, 1],
        }.get(kind, [1, 0])
        if kind not in ('absent', 'size'):
            shown = layers[0].pixels.read(0, 0, 0, *SHAPE)
            assert shown.sum() == 255 * 100 * 200
            assert shown[150, 200] == 255


def test_few_images_stay_open(folder):
    for name in 'abcdef':
        folder.add(name, kinds=['masks'])
    catalogue = Catalogue(folder.write())
    with catalogue.opened(0) as lent:
        for number in range(6):
            with catalogue.opened(number):
                pass
        with catalogue.opened(0) as again:
            assert again is lent
    assert len(catalogue._open) <= OPEN
    for number in (-1, 6):
        with pytest.raises(IndexError), catalogue.opened(number):
            pass


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        (None, 'there is no such folder'),
        ([], 'was not made by predict'),
        (['prediction.json'], 'has not come to its end'),
    ],
)
def test_a_folder_without_predictions_is_refused(tmp_path, files, message):
    path = tmp_path / 'out'
    if files is not None:
        path.mkdir()
        for name in files:
            (path / name).write_text('{}')
    with pytest.raises(ValueError, match=message):
        Catalogue(path)


def test_ids_that_are_no_names_have_no_files(folder):
    (folder.path / 'masks').mkdir()
    cv2.imwrite(str(folder.path / 'secret.png'), np.ones(SHAPE, np.uint8))
    folder.add(kinds=[])
    folder.rows[0]['id'] = '../secret'
    with Catalogue(folder.write()).opened(0) as image:
        assert image.describe()['layers'] == []


def test_a_list_keeps_the_largest():
    n = MOST_UNITS + 5
    units = UnitList(
        'mask',
        np.zeros((n, 4)),
        np.arange(n, dtype=float),
        np.full(n, np.nan),
        np.arange(1, n + 1),
        np.zeros(n, int),
        ['FTU'],
    ).limited()
    assert (len(units), units.left_out) == (MOST_UNITS, 5)
    assert units.numbers[0] == 6
    assert units.describe()['mean'][0] is None


def test_a_table_without_units_lists_none(folder):
    folder.add('a')
    folder.add('empty')
    table = folder.path / 'units' / 'empty.csv'
    lines = table.read_text().splitlines()
    table.write_text(lines[0] + '\n')
    assert len(units_of_table(table, 'empty', 'gland')) == 0
    assert units_of_table(table, 'empty', 'gland').names == ['gland']
    whole = folder.path / 'units' / 'a.csv'
    assert len(units_of_table(whole, 'another image', 'gland')) == 0


def nested_units(folder, kinds):
    """Save a ring, a disc inside it, and a bar below; return the folder's image."""
    folder.add(kinds=[])
    mask = np.zeros(SHAPE, np.uint8)
    cv2.circle(mask, (300, 300), 200, 1, 30)
    cv2.circle(mask, (300, 300), 20, 1, -1)
    mask[560:580, 100:780] = 1
    mask[400:580, 760:780] = 1  # with the bar a corner, whose box holds much else
    objects = find_objects(RunMask.from_strips([mask > 0], SHAPE))
    for kind in kinds:
        (folder.path / kind).mkdir()
    if 'masks' in kinds:
        write_mask(folder.path / 'masks' / 'a.png', [mask > 0], SHAPE)
    if 'geojson' in kinds:
        path = folder.path / 'geojson' / 'a.geojson'
        write_geojson(path, objects, name='glomerulus')
    if 'probabilities' in kinds:
        path = folder.path / 'probabilities' / 'a.tif'
        write_probability(path, [mask * np.float32(0.8)], SHAPE)
    return Catalogue(folder.write())


@pytest.mark.parametrize('kinds', [['masks'], ['geojson'], ['probabilities']])
@pytest.mark.parametrize(
    ('place', 'area'),
    [
        ((300, 300), np.pi * 20**2),  # the disc, inside the ring's box
        ((300, 100), np.pi * (215**2 - 185**2)),  # the ring
        ((120, 570), 680 * 20 + 160 * 20),  # the corner
        ((770, 410), 680 * 20 + 160 * 20),
        ((300, 200), None),  # background between ring and disc
        ((600, 450), None),  # background in the corner's box
        ((5, 5), None),
        ((799, 599), None),
    ],
)
def test_a_pixel_is_of_the_unit_that_covers_it(folder, kinds, place, area):
    with nested_units(folder, kinds).opened(0) as image:
        found = image.units_at(*place)
        assert [image.units().area[n] for n in found] == (
            [] if area is None else [pytest.approx(area, rel=0.05)]
        )
        if kinds == ['probabilities']:
            assert image.units_at(*place, threshold=0.79) == found
            assert image.units_at(*place, threshold=0.85) == []


def test_overlapping_outlines_are_given_smallest_first(folder):
    folder.add(kinds=[])
    (folder.path / 'geojson').mkdir()
    write_annotations(
        folder.path / 'geojson' / 'a.geojson',
        feature(shapely.box(100, 100, 300, 300)),
        feature(shapely.box(150, 150, 200, 200), 'Tumor'),
    )
    with Catalogue(folder.write()).opened(0) as image:
        assert image.units_at(160, 160) == [1, 0]
        assert image.units_at(120, 160) == [0]


@pytest.mark.parametrize('name', ['predictions.csv', 'prediction.json'])
def test_a_folder_that_predict_writes_into_is_not_mixed(folder, name):
    folder.add()
    catalogue = Catalogue(folder.write())
    with catalogue.opened(0):
        pass
    (folder.path / name).write_text('id\nb\n')
    with pytest.raises(ValueError, match='Start view again'), catalogue.opened(0):
        pass
    with pytest.raises(ValueError, match='predict has written into it'):
        catalogue.check_unchanged()


@pytest.mark.parametrize('shape', [(50, 50), (599, 800), (1200, 1600)])
def test_a_mask_of_another_size_is_said(folder, shape):
    folder.add(kinds=['masks'])
    cv2.imwrite(str(folder.path / 'masks' / 'a.png'), np.ones(shape, np.uint8))
    with Catalogue(folder.write()).opened(0) as image:
        (note,) = image.describe()['notes']
        assert note.startswith(f'The mask has {shape[1]} x {shape[0]} px')


def record_of(folder, *names):
    """Write the record of image a, with the sizes of its files."""
    sizes = {name: (folder.path / name).stat().st_size for name in names}
    path = folder.path / 'records' / 'a.json'
    path.parent.mkdir()
    path.write_text(json.dumps({'id': 'a', 'files': sizes}))


def test_an_edited_mask_is_measured_anew(folder):
    folder.add()
    record_of(folder, 'masks/a.png', 'units/a.csv')
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:110, 20:220] = 1
    cv2.imwrite(str(folder.path / 'masks' / 'a.png'), mask)
    with Catalogue(folder.write()).opened(0) as image:
        assert image.units().area.tolist() == [20_000]
        assert image.units_at(100, 50) == [0]
        assert 'edited since predict wrote it' in image.notes[-1]


def test_a_file_that_has_gone_is_said(folder):
    folder.add(kinds=['masks', 'probabilities'])
    record_of(folder, 'masks/a.png', 'probabilities/a.tif')
    (folder.path / 'masks' / 'a.png').unlink()
    with Catalogue(folder.write()).opened(0) as image:
        notes = image.describe()['notes']
        assert notes == ['masks/a.png is missing, which predict has written.']


@pytest.mark.parametrize('column', ['area_px', 'left'])
@pytest.mark.parametrize('value', ['nan', 'inf', '', 'wide'])
def test_units_without_a_place_are_measured_anew(folder, column, value):
    folder.add()
    path = folder.path / 'units' / 'a.csv'
    table = pd.read_csv(path, dtype=str)
    table.loc[1, column] = value
    table.to_csv(path, index=False)
    with Catalogue(folder.write()).opened(0) as image:
        assert image.units().origin == 'mask'
        assert 'Units are measured anew' in image.notes[-1]
        json.dumps(image.units().describe(), allow_nan=False)


def test_a_thin_gap_keeps_large_units_apart(folder):
    shape = (3000, 3200)
    folder.add(kinds=[])
    folder.rows[0] |= dict(height=shape[0], width=shape[1])
    mask = np.ones(shape, np.uint8)
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask[(y - x // 2 == 700) | (y - (x - 1) // 2 == 700)] = 0  # as predict splits
    mask[:20] = mask[-20:] = 0
    (folder.path / 'masks').mkdir()
    cv2.imwrite(str(folder.path / 'masks' / 'a.png'), mask)
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    areas = np.bincount(labels.ravel())[1:]
    assert count == 3  # background and two units
    with Catalogue(folder.write()).opened(0) as image:
        for place, area in enumerate(areas):
            outline = shapely.Polygon(image.outline(place)[0][0])
            assert outline.area == pytest.approx(area, rel=0.01)
        rng = np.random.default_rng(0)
        for row, column in rng.integers(0, shape, (20, 2)).tolist():
            found = image.units_at(column, row)
            label = labels[row, column]
            assert found == ([label - 1] if label else [])
