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
            {'image_id': 10 + i, 'category_id': category, 'segmentation': shape}
            for i, category, shape in annotations
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
        ([(0, 1, [BOX]), (1, 1, [[1, 2]])], {}, 'object 1 of the image is neither'),
        ([(0, 1, [BOX]), (1, 1, 'x')], {}, 'object 1 of the image is neither'),
        ([(0, 1, [BOX]), (1, 1, packed(np.ones((3, 4), np.uint8)))], {},
         r'has \(3, 4\) px'),
        ([], dict(foreground=['crypt']), r'no category crypt, only gland \(1\), fold'),
        ([], dict(ignore=9), 'no category 9'),
        ([], dict(masks='other.json'), 'other.json: no such folder'),
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
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}',
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
