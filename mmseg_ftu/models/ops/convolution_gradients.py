"""Single gradients of a convolution, in the layout of what is given."""

from collections.abc import Sequence

import torch
from torch import Tensor


def convolution_gradients(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    sizes: Sequence[Sequence[int]],
    groups: int,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of a convolution by input, kernels and bias.

    ``torch.nn.grad`` has functions for the first two, but makes an input of its own for
    the first, whose layout is another.

    Args:
        grad: Gradient of the output, ``(N, out_channels, h, w)``.
        x: The input, ``(N, C, H, W)``.
        weight: ``(out_channels, C / groups, kh, kw)``.
        sizes: Stride, padding, dilation, each vertical and horizontal.
        groups: Number of groups that the channels are in.
        wanted: Which of the three are computed; the others are not defined.
    """
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        grad, x, weight, [len(weight)], *sizes, False, [0, 0], groups, wanted
    )
    return gradients
