import json

import cv2
import numpy as np
import pytest
import shapely
from pycocotools import mask as coco_masks
from raw_data import save

from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.preparation.coco import read_coco
from mmseg_ftu.preparation.pairs import prepare_pairs_of
from mmseg_ftu.preparation.records import PreparationError

SHAPE = (40, 60)
BOX = [10, 5, 30, 5, 30, 25, 10, 25]  # x, y, ...
NAN = float('nan')
DISC = shapely.Point(40, 25).buffer(9)


def disc_mask():
    return np.concatenate([*fill_polygons([DISC], SHAPE).strips()])


def run_lengths(mask):
    """Write run lengths as COCO does: from the background on, down the columns."""
    flat = mask.ravel(order='F')
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {'counts': counts if not flat[0] else [0, *counts], 'size': [*mask.shape]}


def packed(mask):
    found = coco_masks.encode(np.asfortranarray(mask))
    return {'counts': found['counts'].decode(), 'size': found['size']}


def runs(counts):
    return {'counts': counts, 'size': [*SHAPE]}


SEGMENTATIONS = {
    'polygon': [BOX],
    'two polygons': [BOX, [0, 0, 5, 0, 5, 5, 0, 5]],
    'run lengths': run_lengths(disc_mask()),
    'packed run lengths': packed(disc_mask()),
}


def expected(name):
    if 'run' in name:
        return disc_mask()
    mask = np.zeros(SHAPE, np.uint8)
    mask[5:25, 10:30] = 1
    if name == 'two polygons':
        mask[:5, :5] = 1
    return mask


def write(folder, annotations, categories=((1, 'gland'), (3, 'fold')), count=2):
    """Write images and a file of annotations (image, category, segmentation)."""
    for number in range(count):
        pixels = np.full((*SHAPE, 3), 100 + number, np.uint8)
        save(folder / 'images' / f'tile {number}.png', pixels)
    content = {
        'images': [
            {
                'id': 10 + i,
                'file_name': f'train/tile {i}.png',
                'height': 40,
                'width': 60,
            }
            for i in range(count)
        ],
        'annotations': [
            {
                'id': 100 + n,
                'image_id': 10 + i,
                'category_id': category,
                'segmentation': shape,
            }
            for n, (i, category, shape) in enumerate(annotations)
        ],
        'categories': [{'id': n, 'name': name} for n, name in categories],
    }
    path = folder / 'coco.json'
    path.write_text(json.dumps(content))
    return path


def prepare(folder, **options):
    defaults = dict(organ='colon', folds=2, workers=0, masks='coco.json')
    prepare_pairs_of(folder, folder.parent / 'out', **(defaults | options))
    masks = sorted((folder.parent / 'out' / 'masks').glob('*.png'))
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in masks]


@pytest.mark.parametrize('name', SEGMENTATIONS)
def test_segmentations(tmp_path, name):
    folder = tmp_path / 'tissue'
    write(folder, [(0, 1, SEGMENTATIONS[name]), (1, 1, [BOX])])
    found, box = prepare(folder)
    np.testing.assert_array_equal(found, expected(name))
    np.testing.assert_array_equal(box, expected('polygon'))


@pytest.mark.parametrize(
    ('polygon', 'box'),
    [
        ([-50, -30, 80, -30, 80, 60, -50, 60], (0, 0, 40, 60)),
        ([-3, -2, 20, -2, 20, 10, -3, 10], (0, 0, 10, 20)),
        ([50, 30, 62, 30, 62, 41, 50, 41], (30, 50, 40, 60)),
    ],
)
def test_what_crosses_the_border_is_cut_off(tmp_path, polygon, box):
    folder = tmp_path / 'tissue'
    write(folder, [(i, 1, [polygon]) for i in range(2)])
    top, left, bottom, right = box
    cut = np.zeros(SHAPE, np.uint8)
    cut[top:bottom, left:right] = 1
    for mask in prepare(folder):
        np.testing.assert_array_equal(mask, cut)


def test_a_huge_size_on_record_is_not_drawn(tmp_path):
    folder = tmp_path / 'tissue'
    path = write(folder, [(0, 1, [BOX]), (1, 1, [BOX])])
    path.write_text(path.read_text().replace('"width": 60', '"width": 1000000000000'))
    with pytest.raises(PreparationError, match='the mask has 40 x 1000000000000 px'):
        prepare(folder)


def test_other_categories_need_no_outline(tmp_path):
    folder = tmp_path / 'tissue'
    write(folder, [(0, 1, [BOX]), (0, 3, []), (1, 1, [BOX])])
    assert len(prepare(folder, foreground=['gland'])) == 2


def test_objects_of_an_image_are_one_mask(tmp_path):
    folder = tmp_path / 'tissue'
    shapes = [*SEGMENTATIONS.values()]
    write(folder, [(i, 1, shape) for i in range(2) for shape in shapes])
    union = np.any([expected(name) for name in SEGMENTATIONS], axis=0)
    for mask in prepare(folder):
        np.testing.assert_array_equal(mask, union)


@pytest.mark.parametrize(
    ('options', 'values'),
    [
        ({}, {0, 1}),
        (dict(foreground=['nonzero']), {0, 1}),
        (dict(foreground=['gland']), {0, 1}),
        (dict(foreground=['1'], ignore=3), {0, 1, 255}),
        (dict(ignore=3), {0, 1, 255}),
    ],
)
def test_categories(tmp_path, options, values):
    folder = tmp_path / 'tissue'
    of_image = [(1, [BOX]), (3, run_lengths(disc_mask()))]
    write(folder, [(i, *entry) for i in range(2) for entry in of_image])
    for mask in prepare(folder, **options):
        assert set(np.unique(mask)) == values
        disc = disc_mask() == 1
        is_gland_only = options.get('foreground') == ['gland']
        label = 255 if 'ignore' in options else int(not is_gland_only)
        assert (mask[disc & (expected('polygon') == 0)] == label).all()


@pytest.mark.parametrize(
    ('annotations', 'options', 'message'),
    [
        ([(0, 1, [BOX])], {}, "image 'tile 1': the mask is empty"),
        ([(0, 1, [BOX]), (1, 1, [[1, 2]])], {}, 'annotation 101: its polygon has 2 va'),
        ([(0, 1, [[10, 5, 30, 25]])], {}, 'annotation 100: its polygon has 4 values'),
        ([(0, 1, [[*BOX, 7]])], {}, 'annotation 100: its polygon has 9 values'),
        ([(0, 1, [BOX, [NAN, *BOX[1:]]])], {}, '100: the coordinates .* not all fini'),
        ([(0, 1, [['10', *BOX[1:]]])], {}, '100: the coordinates .* not all finite'),
        ([(0, 1, [[10**400, *BOX[1:]]])], {}, '100: the coordinates .* not all finite'),
        ([(0, 1, [[1e8, *BOX[1:]]])], {}, 'x 100,000,000, y 25, far beyond the image'),
        ([(0, 1, [[-70, *BOX[1:]]])], {}, 'from x -70, .* far beyond the image of 60 '),
        ([(0, 1, [[x + 50 for x in BOX]])], {}, 'outside of the image of 60 x 40 px'),
        ([(0, 1, [])], {}, 'annotation 100: its segmentation is empty'),
        ([(0, 1, None)], {}, 'its segmentation is neither polygons nor run lengths'),
        ([(0, 1, [BOX]), (1, 1, 'x')], {}, 'annotation 101: .* neither'),
        ([(0, 1, packed(np.ones((3, 4), np.uint8)))], {}, r'of size \[3, 4\], the ima'),
        ([(0, 1, runs([9, 9]))], {}, '100: its run lengths cover 18 px, the image has'),
        ([(0, 1, runs([2401, -1]))], {}, '100: its run lengths are damaged'),
        ([(0, 1, runs('garbage!'))], {}, '100: its run lengths are damaged: they cann'),
        ([(0, 1, runs('oooo'))], {}, '100: its run lengths are damaged: they are cut'),
        ([(0, 1, runs('0123'))], {}, '100: its run lengths cover'),
        ([(0, 1, runs(None))], {}, '100: its run lengths are damaged'),
        ([(0, 8, [BOX])], {}, 'annotation 100: its category_id 8 is that of no categ'),
        ([(7, 1, [BOX])], {}, 'annotation 100: its image_id 17 is that of no image'),
        ([(0, 8, [BOX])] * 30, {}, '(?s)n 119: .*more faults.*21 faults; nothing was'),
        ([], dict(foreground=['crypt']), r'no category crypt, only gland \(1\), fold'),
        ([], dict(ignore=9), 'no category 9'),
        ([], dict(masks='other.json'), 'other.json: no such file'),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, annotations, options, message):
    folder = tmp_path / 'tissue'
    write(folder, annotations)
    with pytest.raises(PreparationError, match=message):
        prepare(folder, **options)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[', 'is not JSON'),
        ('{"images": []}', 'lacks annotations, categories'),
        ('17', 'lacks images, annotations, categories'),
        ('{"images": [{"id": 1, "height": 2, "width": 2}], "annotations": [], '
         '"categories": []}',
         "an entry lacks 'file_name'"),
    ],
)  # fmt: skip
def test_other_files(tmp_path, text, message):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(PreparationError, match=message):
        read_coco(tmp_path / 'a.json', 'auto', None)


def test_images_and_entries_must_match(tmp_path):
    folder = tmp_path / 'tissue'
    write(folder, [(0, 1, [BOX]), (1, 1, [BOX])])
    (folder / 'images' / 'tile 1.png').rename(folder / 'images' / 'x.png')
    with pytest.raises(PreparationError) as error:
        prepare(folder)
    assert "image 'tile 1': no image in" in str(error.value)
    assert "image 'x': no mask in" in str(error.value)
    assert 'coco.json' in str(error.value)
