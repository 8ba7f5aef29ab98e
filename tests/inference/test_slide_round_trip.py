"""Predicted outlines are prepared to the mask that was predicted, pixel by pixel."""

from contextlib import closing

import cv2
import numpy as np
import pandas as pd
import pytest
from small_models import dark, save, small_config
from small_slides import write_slide

from mmseg_ftu import FTUPredictor
from mmseg_ftu.inference.file_options import FileOptions
from mmseg_ftu.inference.jobs import list_jobs
from mmseg_ftu.inference.predict_folder import predict_folder
from mmseg_ftu.inference.prediction_folder import PredictionFolder
from mmseg_ftu.io.sources import open_source
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slides import prepare_slides


def predict_and_prepare(folder, packed):
    """Return the predicted mask of a and what was prepared from its outlines."""
    slides = folder / 'slides'
    (path,) = slides.glob('a.*')
    options = FileOptions(('masks', 'geojson'), geojson_gz=packed)
    weights = save(dark(small_config(1)), folder / 'model.pth')
    predictor = FTUPredictor(small_config(1), weights, mode='whole', size=2000)
    results = PredictionFolder(folder / 'out', {}, {})
    assert predict_folder(predictor, list_jobs(str(slides)), results, options).done == 2
    mask = cv2.imread(str(folder / 'out' / 'masks' / 'a.png'), -1)
    with closing(open_source(path)) as slide:
        size = slide.pixel_size
    prepare_slides(
        SlideOptions(
            slides,
            folder / 'out' / 'geojson',
            size,
            tile=256,
            organ='kidney',
            negatives=99,
            least_tissue=0,
        ),
        folder / 'again',
        folds=2,
        workers=0,
    )
    back = np.zeros_like(mask)
    tiles = pd.read_csv(folder / 'again' / 'tiles.csv')
    for tile in tiles[tiles.slide == 'a'].itertuples():
        part = cv2.imread(str(folder / 'again' / 'masks' / f'{tile.id}.png'), -1)
        top, left = round(tile.top), round(tile.left)
        back[top : top + part.shape[0], left : left + part.shape[1]] = part * 255
    assert mask.any()
    return mask, back


@pytest.mark.parametrize('packed', [False, True])
def test_drawn_slides(tmp_path, packed):
    for seed, name in enumerate('ab'):
        write_slide(tmp_path / 'slides' / f'{name}.tif', (700, 900), seed)
    mask, back = predict_and_prepare(tmp_path, packed)
    np.testing.assert_array_equal(back, mask)


@pytest.mark.slow
def test_real_slides(tmp_path, shared_data):
    slide = shared_data('stain_images') / 'cmu_small_region.svs'
    (tmp_path / 'slides').mkdir()
    for name in 'ab':
        (tmp_path / 'slides' / f'{name}.svs').symlink_to(slide)
    mask, back = predict_and_prepare(tmp_path, True)
    np.testing.assert_array_equal(back, mask)
