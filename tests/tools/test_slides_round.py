"""From annotations to training, to a prediction, and back to annotations."""

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from command_lines import CONFIG, SMALL, run
from small_slides import write_slides

pytestmark = pytest.mark.slow
WORDS = ['--tile', 64, '--organ', 'kidney', '--folds', 2, '--workers', 0]


def test_annotate_prepare_train_predict_and_prepare_again(tmp_path):
    source = write_slides(tmp_path / 'my slides')
    slides = source / 'slides'
    run(
        *('tools/prepare_slides.py', slides, source / 'annotations', tmp_path / 'data'),
        *('--pixel-size', 1.0, *WORDS),
    )
    run('tools/draw_prepared.py', tmp_path / 'data', tmp_path / 'page.html')
    run(
        *('tools/train.py', CONFIG, '--work-dir', tmp_path / 'run', '--cfg-options'),
        *(*SMALL, 'train_dataloader.dataset.split=all'),
        data=tmp_path / 'data',
    )
    predict = [
        *('tools/predict.py', CONFIG, tmp_path / 'run' / 'epoch_2.pth'),
        *('--input', slides, '--organ', 'kidney', '--mode', 'tiles', '--tile', 128),
    ]
    run(*predict, '--output', tmp_path / 'soft', '--save', 'probabilities')
    soft = tifffile.imread(tmp_path / 'soft' / 'probabilities' / 'a.tif')
    threshold = float(np.median(soft)) / 255  # so that there is something, and not all
    run(
        *(*predict, '--output', tmp_path / 'hard', '--threshold', threshold),
        *('--save', 'masks', 'geojson'),
    )
    run(
        *('tools/prepare_slides.py', slides, tmp_path / 'hard' / 'geojson'),
        *(tmp_path / 'again', '--pixel-size', 0.5, *WORDS, '--negatives', 99),
    )
    tiles = pd.read_csv(tmp_path / 'again' / 'tiles.csv')
    seen = 0
    for tile in tiles.itertuples():
        mask = cv2.imread(str(tmp_path / 'again' / 'masks' / f'{tile.id}.png'), -1)
        whole = cv2.imread(str(tmp_path / 'hard' / 'masks' / f'{tile.slide}.png'), -1)
        top, left = round(tile.top), round(tile.left)
        expected = whole[top : top + 64, left : left + 64] > 0
        np.testing.assert_array_equal(mask, expected)
        seen += expected.sum()
    assert seen > 1000
