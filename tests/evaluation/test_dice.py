"""Dice of one image, against sets counted by hand."""

import numpy as np
import pytest
from page_blocks import blocks

from mmseg_ftu.evaluation.dice import dice


def array(text):
    return np.array([[c == '#' for c in row] for row in text.split()])


@pytest.mark.parametrize(
    ('prediction', 'mask', 'expected'),
    [
        ('##.. ....', '##.. ....', 1.0),
        ('##.. ....', '..## ....', 0.0),
        ('##.. ....', '.##. ....', 0.5),
        ('#### ####', '#... ....', 2 / 9),
        ('.... ....', '.... ....', 1.0),
        ('.... ....', '#... ....', 0.0),
        ('#... ....', '.... ....', 0.0),
    ],
)
def test_by_hand(prediction, mask, expected):
    assert dice(array(prediction), array(mask)) == expected


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match='shapes'):
        dice(np.zeros((2, 2), bool), np.zeros((2, 3), bool))
    with pytest.raises(ValueError, match='bool'):
        dice(np.zeros((2, 2)), np.zeros((2, 2), bool))


def test_the_example_of_the_page():
    (code,) = blocks('explanation/dice.md', 'python')
    names: dict = {}
    exec(code, names)
    assert names['each'] == pytest.approx([0.967, 0], abs=5e-4)
    assert names['mean'] == pytest.approx(0.483, abs=5e-4)
    assert names['pooled'] == pytest.approx(0.958, abs=5e-4)
