"""Slides on real tissue, with real annotations and some made by hand for the tests."""

from contextlib import closing

import cv2
import numpy as np
import pandas as pd
import pytest
import skin_annotations
import tifffile
from sections import section

from mmseg_ftu.io.resizing import resize_mask
from mmseg_ftu.io.sources import open_source
from mmseg_ftu.io.working_image import read_resized
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.read_annotations import read_annotations
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slides import prepare_slides
from mmseg_ftu.recipe import StainStep
from mmseg_ftu.stain import VahadaneNormalizer


def prepare(slides, annotations, target, stain=None, **options):
    defaults = dict(pixel_size=1.0, tile=256, organ='skin')
    options = SlideOptions(slides, annotations, **(defaults | options))
    return prepare_slides(options, target, folds=2, workers=0, stain=stain)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.fixture(scope='module')
def skin(tmp_path_factory, shared_data):
    """Folders of a real slide twice, with annotations made by hand for the tests."""
    folder = tmp_path_factory.mktemp('skin')
    slide = shared_data('stain_images') / 'cmu_small_region.svs'
    for name in ('slides', 'annotations'):
        (folder / name).mkdir()
    for name in ('a', 'b'):
        (folder / 'slides' / f'{name}.svs').symlink_to(slide)
        path = folder / 'annotations' / f'{name}.svs.geojson'  # as QuPath proposes
        skin_annotations.write_annotations(path)
    return folder / 'slides', folder / 'annotations'


def test_a_real_slide(skin, tmp_path):
    slides, annotations = skin
    classes = dict(classes=['Epithelium'], ignored=['Keratin'], regions=['Region'])
    prepare(slides, annotations, tmp_path / 'out', **classes)
    found = read_annotations(annotations / 'a.svs.geojson').annotations
    shape, full = (1481, 1108), (2967, 2220)
    fill = {
        name: np.concatenate(
            [
                *fill_polygons(
                    [a.outline for a in found if a.class_name.startswith(name)], full
                ).strips()
            ]
        )
        for name in ('Epithelium', 'Keratin', 'Region')
    }
    labels = fill['Epithelium'].copy()
    labels[(fill['Keratin'] == 1) | (fill['Region'] == 0)] = 255
    labels = resize_mask(labels, shape)
    with closing(open_source(slides / 'a.svs')) as slide:
        image = read_resized(slide, shape)
    tiles = pd.read_csv(tmp_path / 'out' / 'tiles.csv')
    assert len(tiles) > 20
    for tile in tiles.itertuples():
        top, left = round(tile.top * 1481 / 2967), round(tile.left * 1108 / 2220)
        place = slice(top, top + 256), slice(left, left + 256)
        mask = read(tmp_path / 'out' / 'masks' / f'{tile.id}.png')
        assert (mask != labels[place]).mean() < 1e-4  # ties of floating point
        pixels = read(tmp_path / 'out' / 'images' / f'{tile.id}.png')[..., ::-1]
        np.testing.assert_array_equal(pixels, image[place])


@pytest.mark.slow
def test_stains_are_fitted_once_a_slide(skin, tmp_path):
    """As in prediction: the colours of the whole slide at the pixel size of training.

    So tiles are parts of the normalised slide, without seams.
    """
    slides, annotations = skin
    target = VahadaneNormalizer().fit(section(3))
    with closing(open_source(slides / 'a.svs')) as slide:
        image = read_resized(slide, (1481, 1108))
        full = slide.read(0, 0, 0, *slide.shape)
    for order in ('resize-first', 'stain-first'):
        step = StainStep.of(target, order)
        classes = dict(classes=['Epithelium'], negatives=0)
        prepare(slides, annotations, tmp_path / order, step, **classes)
        tiles = pd.read_csv(tmp_path / order / 'tiles.csv')
        if order == 'resize-first':
            expected = step.fit(image).paint(image)
        else:
            expected = cv2.resize(
                step.fit(full).paint(full), (1108, 1481), interpolation=cv2.INTER_AREA
            )
        for tile in tiles.head(4).itertuples():
            top, left = round(tile.top * 1481 / 2967), round(tile.left * 1108 / 2220)
            found = read(tmp_path / order / 'images' / f'{tile.id}.png')[..., ::-1]
            there = expected[top : top + 256, left : left + 256].astype(int)
            assert np.abs(found - there).max() <= 1


def test_an_image_with_rois_of_imagej(shared_data, tmp_path):
    """The mask beside the image was drawn of the same ROIs by its authors."""
    folder = shared_data('qupath_annotations') / 'imagej_rois'
    for name in ('slides', 'annotations'):
        (tmp_path / name).mkdir()
    for name in ('R22_VEGF_C5', 'copy'):
        image = tmp_path / 'slides' / f'{name}.jpg'
        image.symlink_to(folder / 'R22_VEGF_C5.jpg')
        rois = tmp_path / 'annotations' / f'{name}.zip'
        rois.symlink_to(folder / 'R22_VEGF_C5_RoiSet.zip')
    prepare(
        tmp_path / 'slides', tmp_path / 'annotations', tmp_path / 'out',
        slide_pixel_size='0.5', pixel_size=0.5, tile=4000,
    )  # fmt: skip
    found = read(tmp_path / 'out' / 'masks' / 'copy_x0_y0.png')
    truth = read(folder / 'R22_VEGF_C5_mask.png')
    assert found.shape == truth.shape[:2]
    truth = truth.reshape(*found.shape, -1)[..., 0] > 0
    assert ((found == 1) & truth).sum() / ((found == 1) | truth).sum() > 0.98


def lay_out_pas(shared_data, folder, count):
    """Lay out real files of QuPath 0.2 beside images that were made smaller since."""
    annotations = shared_data('qupath_annotations') / 'kidney_pas_roi_qupath02'
    images = shared_data('kidney_glomeruli_he_pas_roi') / 'images'
    for name in ('slides', 'annotations'):
        (folder / name).mkdir()
    rows = pd.read_csv(annotations / 'images.csv').sort_values('full_width')
    for row in rows.head(count).itertuples(index=False):
        (folder / 'annotations' / row[0]).symlink_to(annotations / row[0])
        (folder / 'slides' / row[1]).symlink_to(images / row[1])
        yield images / row[1], (row[2], row[3])


PAS = dict(slide_pixel_size='0.5', pixel_size=4.0, organ='kidney')


def test_annotations_of_the_full_size_image_on_a_reduced_copy(shared_data, tmp_path):
    list(lay_out_pas(shared_data, tmp_path, 5))
    folders = tmp_path / 'slides', tmp_path / 'annotations'
    with pytest.raises(PreparationError, match='3 of 3 objects lie outside') as error:
        prepare(*folders, tmp_path / 'out', **PAS)
    assert str(error.value).count('lie outside of the slide') == 5


def test_annotations_of_the_full_size_image_on_that(shared_data, tmp_path):
    for path, size in lay_out_pas(shared_data, tmp_path, 2):
        image = cv2.resize(cv2.imread(str(path)), size)
        (tmp_path / 'slides' / path.name).unlink()
        tifffile.imwrite(tmp_path / 'slides' / f'{path.stem}.tif', image[..., ::-1])
    folders = tmp_path / 'slides', tmp_path / 'annotations'
    prepare(*folders, tmp_path / 'out', classes=['G'], negatives=0, **PAS)
    slides = pd.read_csv(tmp_path / 'out' / 'slides.csv')
    assert slides['units'].tolist() == [1, 2]
    assert slides['left_out'].tolist() == [0, 1]  # one has no class


def test_an_image_that_another_program_annotated(shared_data, tmp_path):
    """A drawn picture with the outlines of its shapes, by cv2geojson."""
    folder = shared_data('qupath_annotations') / 'cv2geojson'
    image = read(folder / 'img_01.png')
    for name in ('slides', 'annotations'):
        (tmp_path / name).mkdir()
    for name in ('a', 'b'):
        rgb = np.ascontiguousarray(
            image[..., :3] if image.ndim == 3 else np.stack([image] * 3, axis=-1)
        )
        cv2.imwrite(str(tmp_path / 'slides' / f'{name}.png'), rgb)
        path = tmp_path / 'annotations' / f'{name}.geojson'
        path.symlink_to(folder / 'img_01.geojson')
    prepare(
        tmp_path / 'slides', tmp_path / 'annotations', tmp_path / 'out',
        slide_pixel_size='1', tile=4000, classes=['roi'],
    )  # fmt: skip
    found = read(tmp_path / 'out' / 'masks' / 'a_x0_y0.png') == 1
    grey = rgb.max(axis=-1)
    drawn = grey != grey[0, 0]
    assert (found & drawn).sum() / (found | drawn).sum() > 0.97
