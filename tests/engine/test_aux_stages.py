"""Stages in logs and curves."""

import pytest

from mmseg_ftu.engine.aux_stages import as_scalar, in_words


@pytest.mark.parametrize(
    ('in_index', 'scalar', 'words'),
    [
        (0, 0, '0'),
        (3, 3, '3'),
        ([2], 2, '2'),
        ([0, 1, 2], 210, '0+1+2'),
        ([2, 0, 1], 210, '0+1+2'),
        ([0, 3], 30, '0+3'),
        ([1, 2], 21, '1+2'),
        (None, -1, 'off'),
    ],
)
def test_stages_as_a_number_and_in_words(in_index, scalar, words):
    assert as_scalar(in_index) == scalar
    assert in_words(in_index) == words
