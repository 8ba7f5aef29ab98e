"""Depthwise convolutions that are fast on CPUs.

torch's are slow in three cases, by what oneDNN has fast code for, and inexact in one
(``benchmarks/convolutions.py``):

* the gradient of kernels wider than 3. Here the kernel is cut into columns of three,
  and each is a convolution of its own on a shifted input;
* the gradient of the input in bfloat16 with a stride. Here that is computed in float32;
* dilated kernels: their gradients, and far taps in the forward pass, too. Here the map
  is split into phases, on which they are plain kernels (`phases`);
* the gradient of the kernels in half precision, whose sum over a large batch, such as
  of phases, is kept in half precision. Here that is computed in float32.

EfficientNet, ConvNeXt and CoaT have such kernels, and heads with an ASPP.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ftu.models.mirrored_padding import is_traced
from mmseg_ftu.models.ops import phases
from mmseg_ftu.models.ops.convolution_gradients import convolution_gradients
from mmseg_ftu.models.ops.first_derivative_only import first_derivative_only

FAST_WIDTH = 3  # of kernels whose gradient oneDNN computes fast
EXACT_BATCH = 16  # images, of a gradient of kernels in half precision
HALF = torch.bfloat16, torch.float16
FAST_REACH = 4  # px from the middle of a dilated kernel, of a fast forward pass


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """Do what ``torch.nn.functional.conv2d`` does, on a CPU faster.

    Args:
        x: ``(N, C, H, W)`` or ``(C, H, W)``.
        weight: ``(out_channels, C / groups, kh, kw)``.
        bias: ``(out_channels,)``.
        stride: Vertical, horizontal.
        padding: Zeros above and below, left and right.
        dilation: Vertical, horizontal.
        groups: As torch's; only C groups of one channel are faster.
    """
    if not _is_depthwise_on_cpu(x, weight, groups):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    dtype = autocast_dtype(x)
    if _is_slow_dilated(x, weight, stride, padding, dilation):
        return _by_phases(x.to(dtype), weight, bias, dilation)
    if not _has_own_gradient(x, weight, dtype, stride):
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


def _is_depthwise_on_cpu(x: Tensor, weight: Tensor, groups: int) -> bool:
    if torch.compiler.is_compiling() or is_traced():
        return False
    is_depthwise = weight.shape[1] == 1 < groups == len(weight)
    return is_depthwise and x.device.type == 'cpu' and x.ndim == 4


def _has_own_gradient(
    x: Tensor, weight: Tensor, dtype: torch.dtype, stride: Sequence[int]
) -> bool:
    if not torch.is_grad_enabled():
        return False
    if _is_inexact(x, dtype):
        return True
    if max(stride) > 1:
        return dtype == torch.bfloat16
    return weight.shape[-1] > FAST_WIDTH


def _is_inexact(x: Tensor, dtype: torch.dtype) -> bool:
    return dtype in HALF and len(x) > EXACT_BATCH


def _is_slow_dilated(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> bool:
    """Tell whether a kernel is dilated, keeps the size of the map, and is slow."""
    if max(dilation) == 1 or max(stride) > 1 or x.numel() == 0:
        return False
    taps = weight.shape[2:]
    reach = [n // 2 * step for n, step in zip(taps, dilation, strict=True)]
    if list(padding) != reach or not all(n % 2 for n in taps):
        return False
    return torch.is_grad_enabled() or max(reach) > FAST_REACH


def _by_phases(
    x: Tensor, weight: Tensor, bias: Tensor | None, dilation: Sequence[int]
) -> Tensor:
    """Compute a dilated convolution that keeps the size of the map, as a plain one."""
    layout = torch.contiguous_format
    if x.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    height, width = x.shape[2:]
    weight, vertical = _drop_far_taps(weight, 2, dilation[0], height)
    weight, horizontal = _drop_far_taps(weight, 3, dilation[1], width)
    steps, taps = (vertical, horizontal), (weight.shape[2], weight.shape[3])
    out = conv2d(
        phases.split(x, steps, taps),
        weight,
        bias,
        padding=[n // 2 for n in taps],
        groups=len(weight),
    )
    out = phases.join(out, steps, (height, width))
    return out.contiguous(memory_format=layout)


def _drop_far_taps(
    weight: Tensor, axis: int, step: int, side: int
) -> tuple[Tensor, int]:
    """Leave out the taps of kernels that fall outside of a map wherever they stand.

    Args:
        weight: ``(C, 1, kh, kw)``.
        axis: Along which taps are left out.
        step: px between taps.
        side: Height or width of the map, px.

    Returns:
        The kernels, and px between their taps: 1 where only the middle one is left.
    """
    middle = weight.shape[axis] // 2
    near = min(middle, (side - 1) // step)
    weight = weight.narrow(axis, middle - near, 2 * near + 1)
    return weight, step if near else 1


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
    sizes = stride, padding, dilation
    d_x = convolution_gradients(grad, x, weight, sizes, len(weight), wanted)[0]
    return d_x.to(dtype)


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
    if _is_inexact(x, x.dtype):
        given = grad.float(), x.float(), weight.float()
        exact = weight_gradient(*given, stride, padding, dilation)
        return exact.to(weight.dtype)
    wanted = [False, True, False]
    width = weight.shape[-1]
    if width <= FAST_WIDTH:
        sizes = stride, padding, dilation
        return convolution_gradients(grad, x, weight, sizes, len(weight), wanted)[1]
    tiles = -(-width // FAST_WIDTH)
    step = dilation[1] * FAST_WIDTH  # px between the first taps of two tiles
    # what all taps of a tile read
    reach = (grad.shape[3] - 1) * stride[1] + (FAST_WIDTH - 1) * dilation[1] + 1
    missing = (tiles - 1) * step + reach - (x.shape[3] + 2 * padding[1])
    x = F.pad(x, (padding[1], padding[1] + missing))  # a negative number cuts
    tile = weight[..., :FAST_WIDTH]
    columns = [
        convolution_gradients(
            grad,
            x[..., left : left + reach],
            tile,
            (stride, (padding[0], 0), dilation),
            len(weight),
            wanted,
        )[1]
        for left in range(0, tiles * step, step)
    ]
    return torch.cat(columns, 3)[..., :width]
