import pytest
import torch

from mmseg_ftu.models.ops.phases import join, split


@pytest.mark.parametrize('dilation', [(1, 1), (2, 3), (6, 6), (18, 40)])
def test_join_undoes_split(dilation):
    x = torch.arange(2 * 3 * 17 * 23.0).reshape(2, 3, 17, 23)
    phases = split(x, dilation, (3, 3))
    assert min(phases.shape[2:]) >= 3
    assert torch.equal(join(phases, dilation, (17, 23)), x)


def test_a_phase_has_every_second_pixel():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    phases = split(x, (2, 2), (1, 1))[:, 0]
    assert phases.tolist() == [
        [[0, 2], [8, 10]],
        [[1, 3], [9, 11]],
        [[4, 6], [12, 14]],
        [[5, 7], [13, 15]],
    ]


def test_what_is_missing_is_filled_up_with_zeros():
    assert split(torch.ones(1, 1, 3, 1), (2, 1), (2, 2)).tolist() == [
        [[[1, 0], [1, 0]]],
        [[[1, 0], [0, 0]]],
    ]
