"""Depthwise convolutions whose gradients are fast on CPUs.

The forward pass is torch's. Its backward pass is slow in two cases, by what oneDNN has
fast code for (``benchmarks/depthwise.py``):

* the gradient of kernels wider than 3. Here the kernel is cut into columns of three,
  and each is a convolution of its own on a shifted input;
* the gradient of the input in bfloat16 with a stride. Here that is computed in float32.

EfficientNet, ConvNeXt and CoaT have such kernels.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ftu.models.mirrored_padding import is_traced
from mmseg_ftu.models.ops.first_derivative_only import first_derivative_only

FAST_WIDTH = 3  # of kernels whose gradient oneDNN computes fast


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Do what ``torch.nn.functional.conv2d`` does, in training on a CPU faster.

    Args:
        x: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(out_channels, C / groups, kh, kw)``.
        bias: ``(out_channels,)``.
        stride: Vertical, horizontal.
        padding: Zeros above and below, left and right.
        dilation: Vertical, horizontal.
        groups: As torch's; only C groups of one channel are faster.
    """
    dtype = autocast_dtype(x)
    if not _is_slow_in_torch(x, weight, dtype, stride, groups):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    out: Tensor = _DepthwiseConv.apply(
        x.to(dtype),
        weight.to(dtype),
        None if bias is None else bias.to(dtype),
        tuple(stride),
        tuple(padding),
        tuple(dilation),
    )
    return out


def autocast_dtype(x: Tensor) -> torch.dtype:
    """Return the type that autocast computes with on a CPU; float64 stays."""
    if x.dtype == torch.float64 or not torch.is_autocast_enabled('cpu'):
        return x.dtype
    return torch.get_autocast_dtype('cpu')


def _is_slow_in_torch(
    x: Tensor, weight: Tensor, dtype: torch.dtype, stride: Sequence[int], groups: int
) -> bool:
    if torch.compiler.is_compiling() or is_traced():
        return False
    is_depthwise = weight.shape[1] == 1 < groups == len(weight)
    if not is_depthwise or x.device.type != 'cpu' or x.ndim != 4:
        return False
    if not torch.is_grad_enabled():
        return False
    if max(stride) > 1:
        return dtype == torch.bfloat16
    return weight.shape[-1] > FAST_WIDTH


class Convolution(nn.Conv2d):
    """``nn.Conv2d`` by `conv2d`; `speed_up` makes it of those of a library."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        assert not isinstance(self.padding, str)
        return conv2d(
            x, weight, bias, self.stride, self.padding, self.dilation, self.groups
        )


def speed_up(net: nn.Module) -> None:
    """Let the depthwise convolutions of a network train faster; names stay."""
    for module in net.modules():
        if (
            type(module) is nn.Conv2d
            and module.groups == module.in_channels == module.out_channels > 1
            and module.padding_mode == 'zeros'
            and not isinstance(module.padding, str)
        ):
            module.__class__ = Convolution


class _DepthwiseConv(torch.autograd.Function):
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
        with torch.autocast('cpu', enabled=False):
            return F.conv2d(x, weight, bias, stride, padding, dilation, len(weight))

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        d_x = d_weight = d_bias = None
        if needs_x:
            d_x = input_gradient(grad, x, weight, *ctx.sizes)
        if needs_weight:
            d_weight = weight_gradient(grad, x, weight, *ctx.sizes)
        if needs_bias:
            d_bias = grad.sum((0, 2, 3))
        return d_x, d_weight, d_bias, None, None, None


def input_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Return the gradient of a depthwise convolution by its input.

    Args:
        grad: Gradient of its output, ``(N, C, h, w)``.
        x: Its input, ``(N, C, H, W)``; only the shape counts.
        weight: ``(C, 1, kh, kw)``.
        stride: Vertical, horizontal.
        padding: Zeros above and below, left and right.
        dilation: Vertical, horizontal.
    """
    dtype = x.dtype
    if max(stride) > 1 and dtype == torch.bfloat16:
        grad, weight = grad.float(), weight.float()
        x = torch.empty_like(x, dtype=torch.float32)
    wanted = [True, False, False]
    return _backward(grad, x, weight, stride, padding, dilation, wanted)[0].to(dtype)


def weight_gradient(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Tensor:
    """Return the gradient of a depthwise convolution by its kernels.

    Args:
        grad: Gradient of its output, ``(N, C, h, w)``.
        x: Its input, ``(N, C, H, W)``.
        weight: ``(C, 1, kh, kw)``; only the shape counts.
        stride: Vertical, horizontal.
        padding: Zeros above and below, left and right.
        dilation: Vertical, horizontal.
    """
    wanted = [False, True, False]
    width = weight.shape[-1]
    if width <= FAST_WIDTH:
        return _backward(grad, x, weight, stride, padding, dilation, wanted)[1]
    tiles = -(-width // FAST_WIDTH)
    step = dilation[1] * FAST_WIDTH  # px between the first taps of two tiles
    # what all taps of a tile read
    reach = (grad.shape[3] - 1) * stride[1] + (FAST_WIDTH - 1) * dilation[1] + 1
    missing = (tiles - 1) * step + reach - (x.shape[3] + 2 * padding[1])
    x = F.pad(x, (padding[1], padding[1] + missing))  # a negative number cuts
    tile = weight[..., :FAST_WIDTH]
    columns = [
        _backward(
            grad,
            x[..., left : left + reach],
            tile,
            stride,
            (padding[0], 0),
            dilation,
            wanted,
        )[1]
        for left in range(0, tiles * step, step)
    ]
    return torch.cat(columns, 3)[..., :width]


def _backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    channels = len(weight)
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        grad,
        x,
        weight,
        [channels],
        stride,
        padding,
        dilation,
        False,
        [0, 0],
        channels,
        wanted,
    )
    return gradients
