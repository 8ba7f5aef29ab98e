"""Convolutions over all channels, in channels-last layout, on CPUs without AVX-512.

On large maps oneDNN takes up to 1.8 times as long there for the gradient of the kernels
in this layout as in torch's own, and all else is as fast or faster. So copies in
torch's own layout go into this one gradient (``benchmarks/convolutions.py``).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ftu.models.mirrored_padding import is_traced
from mmseg_ftu.models.ops.convolution_gradients import convolution_gradients
from mmseg_ftu.models.ops.first_derivative_only import first_derivative_only

LARGE = 48  # px, width of a map from which the copies pay


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
) -> Tensor:
    """Do what ``torch.nn.functional.conv2d`` does with one group.

    Args:
        x: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(out_channels, C, kh, kw)``.
        bias: ``(out_channels,)``.
        stride: Vertical, horizontal.
        padding: Zeros above and below, left and right.
        dilation: Vertical, horizontal.
    """
    sizes = tuple(stride), tuple(padding), tuple(dilation)
    if not _has_slow_gradient(x, weight):
        return F.conv2d(x, weight, bias, *sizes)
    out: Tensor = _DenseConv.apply(x, weight, bias, *sizes)
    return out


def _has_slow_gradient(x: Tensor, weight: Tensor) -> bool:
    if torch.compiler.is_compiling() or is_traced() or not is_slow_processor():
        return False
    return (
        torch.is_grad_enabled()
        and weight.requires_grad
        and weight.shape[2:].numel() > 1
        and x.device.type == 'cpu'
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled('cpu')
        and x.ndim == 4
        and x.shape[3] >= LARGE
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )


@cache
def is_slow_processor() -> bool:
    """Tell whether the processor has AVX2 and not more."""
    return torch.backends.cpu.get_cpu_capability() == 'AVX2'


class _DenseConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.sizes = stride, padding, dilation
        return F.conv2d(x, weight, bias, stride, padding, dilation)

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        d_x = d_weight = d_bias = None
        if needs_x:
            wanted = [True, False, False]
            d_x = convolution_gradients(grad, x, weight, ctx.sizes, 1, wanted)[0]
        if needs_weight:
            # all three, or torch takes the layout of the one that is left
            grad, x, weight = grad.contiguous(), x.contiguous(), weight.contiguous()
            wanted = [False, True, False]
            d_weight = convolution_gradients(grad, x, weight, ctx.sizes, 1, wanted)[1]
        if needs_bias:
            d_bias = grad.sum((0, 2, 3))
        return d_x, d_weight, d_bias, None, None, None
