"""Outlines and montage, counted in pixels."""

import csv

import cv2
import numpy as np
import pytest

from mmseg_ftu.evaluation.overlay import (
    CAPTION_HEIGHT,
    MASK_COLOUR,
    PREDICTION_COLOUR,
    draw_overlay,
    draw_result,
    montage,
)


def square(size, top, left, side):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_outlines_lie_on_the_borders_of_mask_and_prediction():
    image = np.full((100, 100, 3), 128, np.uint8)
    picture = draw_overlay(image, square(100, 10, 10, 20), square(200, 100, 100, 60))
    green = (picture == MASK_COLOUR).all(-1)
    yellow = (picture == PREDICTION_COLOUR).all(-1)
    assert np.argwhere(green).min(0).tolist() == [10, 10]
    assert np.argwhere(green).max(0).tolist() == [29, 29]
    assert green.sum() == 4 * 19
    assert np.argwhere(yellow).min(0).tolist() == [50, 50]
    assert np.argwhere(yellow).max(0).tolist() == [79, 79]
    assert (image == 128).all()


def test_montage_places_pictures_row_by_row():
    pictures = [
        np.full((h, w, 3), v, np.uint8) for h, w, v in [(8, 9, 1), (5, 7, 2), (8, 9, 3)]
    ]
    sheet = montage(pictures, ['', '', ''], columns=2)
    assert sheet.shape == (2 * (8 + CAPTION_HEIGHT), 18, 3)
    assert (sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + 8, :9] == 1).all()
    assert (sheet[CAPTION_HEIGHT : CAPTION_HEIGHT + 5, 9:16] == 2).all()
    assert (sheet[CAPTION_HEIGHT + 5 :][:3, 9:] == 255).all()
    assert (sheet[-8:, :9] == 3).all()


def test_picture_of_a_result(tmp_path, make_prepared):
    prepared = make_prepared(n=6, size=64)
    result = tmp_path / 'result'
    result.mkdir()
    with (prepared / 'folds.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    lines = ['img_id,organ,dice']
    for i, row in enumerate(rows):
        cv2.imwrite(str(result / f'{row["id"]}.png'), square(96, 10, 10, 40))
        lines.append(f'{row["id"]},{row["organ"]},{i / 10}')
    (result / 'dice_per_image.csv').write_text('\n'.join(lines))
    draw_result(prepared, result, tmp_path / 'new' / 'sheet.png')
    sheet = cv2.imread(str(tmp_path / 'new' / 'sheet.png'))
    assert sheet.shape == (2 * (64 + CAPTION_HEIGHT), 4 * 64, 3)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r'run tools/test\.py with --out'):
        draw_result(tmp_path, tmp_path, tmp_path / 'a.png')
