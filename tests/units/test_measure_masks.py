"""Units of masks and outlines of anybody, through the command."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import shapely

from mmseg_ftu.cli import run_command
from mmseg_ftu.masks import rle
from mmseg_ftu.units.measure_masks import measure_masks

MASK = np.zeros((60, 100), np.uint8)
MASK[10:30, 10:30] = MASK[10:30, 30:50] = 1  # two squares that touch
MASK[40:50, 80:100] = 1
LABELS = MASK.copy()
LABELS[10:30, 30:50], LABELS[40:50, 80:100] = 7, 9


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
    return path


def draw_image(path):
    """Draw tissue on the left half, glass on the right."""
    image = np.full((*MASK.shape, 3), 250, np.uint8)
    image[:, :50] = (150, 90, 130)
    return write(path, image)


def feature(outline, name):
    return {
        'type': 'Feature',
        'geometry': shapely.geometry.mapping(outline),
        'properties': {'classification': {'name': name}} if name else {},
    }


def geojson(path, *features):
    path.parent.mkdir(exist_ok=True)
    text = {'type': 'FeatureCollection', 'features': features}
    path.write_text(json.dumps(text))
    return path


def measured(out):
    units = pd.read_csv(out / 'units.csv')
    return units, pd.read_csv(out / 'units_by_image.csv', index_col='image')


def test_masks_with_images(tmp_path, capsys):
    write(tmp_path / 'masks' / 'a.png', MASK)
    write(tmp_path / 'masks' / 'b.png', 0 * MASK)
    draw_image(tmp_path / 'tissue' / 'a.png')
    draw_image(tmp_path / 'tissue' / 'b.png')
    words = [tmp_path / 'masks', '--out', tmp_path / 'out', '--organ', 'kidney']
    words += ['--images', tmp_path / 'tissue', '--pixel-size', 0.5]
    assert run_command('units', [*map(str, words)]) == 0
    assert capsys.readouterr().out.startswith('2 units of 2 images')
    units, images = measured(tmp_path / 'out')
    assert units.id.tolist() == ['a_1', 'a_2']
    assert units.area_um2.tolist() == [200, 50]
    assert set(units['class']) == {'glomerulus'}
    assert images.units.to_dict() == {'a': 2, 'b': 0}
    assert images.image_mm2.tolist() == pytest.approx([0.0015] * 2)
    assert images.tissue_mm2.tolist() == pytest.approx([0.00075] * 2)
    one = pd.read_csv(tmp_path / 'out' / 'units' / 'a.csv')
    pd.testing.assert_frame_equal(units, one)


@pytest.mark.parametrize(
    ('options', 'areas', 'ids'),
    [
        ({}, [800, 200], ['a_1', 'a_2']),
        ({'instances': True}, [400, 400, 200], ['a_1', 'a_7', 'a_9']),
        ({'instances': True, 'foreground': [7]}, [400], ['a_7']),
        ({'foreground': [1, 9]}, [400, 200], ['a_1', 'a_2']),
        ({'ignore': 7}, [400, 200], ['a_1', 'a_2']),
        ({'min_area_px': 300}, [800], ['a_1']),
    ],
)
def test_labels(tmp_path, options, areas, ids):
    write(tmp_path / 'masks' / 'a.png', LABELS)
    measure_masks(tmp_path / 'masks', tmp_path / 'out', **options)
    units, images = measured(tmp_path / 'out')
    assert units.area_px.tolist() == areas
    assert units.id.tolist() == ids
    assert units.area_um2.isna().all()
    counted = MASK.size - 400 * ('ignore' in options)
    assert images.area_share['a'] == pytest.approx(sum(areas) / counted, rel=1e-6)


def test_pixels_that_are_not_square(tmp_path):
    write(tmp_path / 'masks' / 'a.png', MASK)
    measure_masks(tmp_path / 'masks', tmp_path / 'out', pixel_size=[0.5, 0.25])
    units, images = measured(tmp_path / 'out')
    assert units.area_um2.tolist() == [100, 25]
    assert units.perimeter_um.isna().all()
    assert images.image_mm2['a'] == pytest.approx(MASK.size * 0.125 / 1e6)


def test_run_lengths_and_a_prepared_folder(tmp_path, make_prepared):
    table = tmp_path / 'table.csv'
    rows = [f'a,{rle.encode(MASK)},60,100,0.5,kidney']
    header = 'id,rle,img_height,img_width,pixel_size,organ'
    table.write_text('\n'.join([header, *rows]) + '\n')
    measure_masks(table, tmp_path / 'out')
    units, _ = measured(tmp_path / 'out')
    assert units.area_um2.tolist() == [200, 50]
    prepared = make_prepared(n=4)
    assert measure_masks(prepared, tmp_path / 'discs').startswith('4 units of 4 images')
    units, images = measured(tmp_path / 'discs')
    assert units.organ.tolist() == ['kidney', 'lung', 'spleen', 'kidney']
    assert units.area_um2.isna().tolist() == [False, True, False, True]
    assert (images.tissue_mm2.dropna() > 0).all()


def test_units_are_split(tmp_path):
    mask = np.zeros((100, 140), np.uint8)
    for x in (45, 75):
        cv2.circle(mask, (x, 40), 20, 1, -1)
    write(tmp_path / 'masks' / 'a.png', mask)
    text = measure_masks(tmp_path / 'masks', tmp_path / 'out', split_px=4)
    assert text.startswith('2 units')


def test_outlines(tmp_path):
    draw_image(tmp_path / 'images' / 'a.png')
    draw_image(tmp_path / 'images' / 'b.png')
    boxes = [shapely.box(10, 10, 30, 30), shapely.box(20, 10, 40, 30)]  # overlap
    boxes += [shapely.box(90, 50, 120, 80)]
    named = zip(boxes, ['Normal', 'Normal', 'Sclerotic'], strict=True)
    geojson(tmp_path / 'drawn' / 'a.geojson', *(feature(*pair) for pair in named))
    geojson(tmp_path / 'drawn' / 'b.geojson')
    out, images = tmp_path / 'out', tmp_path / 'images'
    measure_masks(tmp_path / 'drawn', out, images=images, pixel_size=[1])
    units, by_image = measured(out)
    assert units.area_px.tolist() == [400, 400, 100]
    assert units['class'].tolist() == ['Normal', 'Normal', 'Sclerotic']
    assert units.id.tolist() == ['a_1', 'a_2', 'a_3']
    assert units.touches_border.tolist() == [0, 0, 1]
    rows = by_image.reset_index()[['image', 'class', 'units']].values.tolist()
    assert rows == [['a', 'Normal', 2], ['a', 'Sclerotic', 1], ['b', 'FTU', 0]]
    covered = [600, 100, 0]  # where two overlap, pixels count once
    assert by_image.area_share.tolist() == pytest.approx(
        [area / MASK.size for area in covered], rel=1e-5
    )


def test_a_second_run_replaces_its_own_and_keeps_edits(tmp_path, capsys):
    write(tmp_path / 'masks' / 'a.png', MASK)
    out = tmp_path / 'out'
    measure_masks(tmp_path / 'masks', out)
    (out / 'units.csv').write_text('notes')
    measure_masks(tmp_path / 'masks', out, pixel_size=[1])
    assert (out / 'units.csv.changed').read_text() == 'notes'
    assert measured(out)[0].area_um2.tolist() == [800, 200]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'pixel_size': [0]}, '--pixel-size 0: give the width'),
        ({'pixel_size': [1, 1, 1]}, '--pixel-size 1 1 1: give'),
        ({'pixel_size': [float('nan')]}, '--pixel-size nan'),
        ({'split_um': 1}, "--split-touching-um: the pixel size of 'a' is unknown"),
        ({'min_area_um2': 1}, '--min-area-um2: the pixel size'),
        ({'split_um': 1, 'split_px': 1}, 'px: give one'),
        ({'split_px': 0}, '--split-touching-px 0: give a positive'),
        ({'min_area_px': -1}, '--min-area-px -1: give 0 or more'),
        ({'max_hole_um2': 5}, '--max-hole-um2 limits --fill-holes'),
        ({'pixel_size': [1e9]}, r'--pixel-size 1000000000.0: .*, 0.05 to 20 um'),
        ({'instances': True, 'fill': True}, 'units are as they are labelled'),
        ({'images': 'nowhere'}, 'there is no such folder'),
    ],
)
def test_what_cannot_be_measured_is_named(tmp_path, options, message):
    write(tmp_path / 'masks' / 'a.png', MASK)
    if 'images' in options:
        options = {'images': tmp_path / options['images']}
    with pytest.raises(ValueError, match=message):
        measure_masks(tmp_path / 'masks', tmp_path / 'out', **options)
    assert not (tmp_path / 'out' / 'units.csv').exists()


def test_outlines_of_another_image(tmp_path):
    draw_image(tmp_path / 'images' / 'a.png')
    boxes = [(5, 5, 9, 9), (10.6, 10.6, 11.4, 11.4), (1000, 5, 1010, 9)]
    outlines = [feature(shapely.box(*box), '') for box in boxes]
    options = {'out': tmp_path / 'out', 'images': tmp_path / 'images'}
    file = geojson(tmp_path / 'a.geojson', *outlines)
    with pytest.raises(ValueError, match='1 of 3 outlines lie outside'):
        measure_masks(file, **options)
    geojson(file, *outlines[:2])
    text = measure_masks(file, **options)
    assert text.startswith('1 units of 1 images')
    assert text.endswith('1 outlines hold no centre of a pixel: left out')
    geojson(tmp_path / 'z.geojson', *outlines[:2])
    with pytest.raises(ValueError, match=r"give --images, a folder .* named 'z'"):
        measure_masks(tmp_path / 'z.geojson', **options)


def test_outlines_need_their_images_and_nothing_else(tmp_path):
    file = geojson(
        tmp_path / 'drawn' / 'a.geojson', feature(shapely.box(1, 1, 9, 9), '')
    )
    with pytest.raises(ValueError, match='give --images'):
        measure_masks(file, tmp_path / 'out')
    with pytest.raises(ValueError, match='outlines are measured as they are'):
        measure_masks(tmp_path / 'drawn', tmp_path / 'out', fill=True)


@pytest.mark.parametrize('place', ['masks', 'masks/out', '.'])
def test_results_do_not_lie_among_masks(tmp_path, place):
    write(tmp_path / 'masks' / 'a.png', MASK)
    with pytest.raises(ValueError, match=r'name a folder|was not made by this tool'):
        measure_masks(tmp_path / 'masks', tmp_path / place)


def test_a_folder_of_others_is_not_written_into(tmp_path):
    write(tmp_path / 'masks' / 'a.png', MASK)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine.txt').write_text('mine')
    with pytest.raises(ValueError, match='was not made by this tool'):
        measure_masks(tmp_path / 'masks', tmp_path / 'out')
