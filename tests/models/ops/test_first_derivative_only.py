"""Second derivatives are refused, and never left out without a word."""

import pytest
import torch
from torch import nn

from mmseg_ftu.models.ops.convolution import Convolution
from mmseg_ftu.models.ops.token_mlp import normed_mlp


def mlp(x):
    torch.manual_seed(0)
    return normed_mlp(x, nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8))


def convolution(x):
    torch.manual_seed(0)
    return Convolution(8, 8, 7, padding=3, groups=8)(x.reshape(1, 8, 2, 2))


@pytest.mark.parametrize('operation', [mlp, convolution])
def test_second_derivatives_are_refused(operation):
    x = torch.randn(4, 8, requires_grad=True)
    (first,) = torch.autograd.grad(operation(x).sum(), x)
    assert first.abs().sum() > 0
    # below a sum the incoming gradient is constant: torch's own check lets it pass
    with pytest.raises(NotImplementedError, match='has no second derivative on a CPU'):
        torch.autograd.grad(operation(x).sum(), x, create_graph=True)
