"""Outlines, counted in pixels."""

import numpy as np
import pytest

from mmseg_ftu.masks.draw_outlines import (
    MASK_COLOUR,
    PREDICTION_COLOUR,
    draw_outlines,
)


def square(size, top, left, side):
    mask = np.zeros((size, size), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_outlines_lie_on_the_borders_of_mask_and_prediction():
    image = np.full((100, 100, 3), 128, np.uint8)
    picture = draw_outlines(image, square(100, 10, 10, 20), MASK_COLOUR)
    picture = draw_outlines(picture, square(200, 100, 100, 60) > 0, PREDICTION_COLOUR)
    green = (picture == MASK_COLOUR).all(-1)
    yellow = (picture == PREDICTION_COLOUR).all(-1)
    assert np.argwhere(green).min(0).tolist() == [10, 10]
    assert np.argwhere(green).max(0).tolist() == [29, 29]
    assert green.sum() == 4 * 19
    assert np.argwhere(yellow).min(0).tolist() == [50, 50]
    assert np.argwhere(yellow).max(0).tolist() == [79, 79]
    assert (image == 128).all()


def test_a_hole_has_an_outline_too():
    mask = square(60, 10, 10, 40) - square(60, 20, 20, 20)
    picture = draw_outlines(np.zeros((60, 60, 3), np.uint8), mask, (255, 0, 0))
    red = picture[..., 0] == 255
    assert red.sum() > 4 * 39
    assert not red[25:35, 25:35].any()


@pytest.mark.parametrize(('side', 'width'), [(40, 1), (500, 1), (768, 2), (1000, 3)])
def test_lines_are_a_400th_of_the_picture(side, width):
    mask = np.zeros((side, side), bool)
    mask[side // 2 :] = True
    image = np.zeros((side, side, 3), np.uint8)
    column = draw_outlines(image, mask, (255, 0, 0))[: side - 5, side // 2, 0]
    assert abs((column > 0).sum() - width) <= (width > 1)
