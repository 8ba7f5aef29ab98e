"""A convolution layer that is fast on CPUs, and how networks of libraries get it."""

from typing import Any

from torch import Tensor, nn

from mmseg_ftu.models.ops import dense_conv, depthwise_conv


class Convolution(nn.Conv2d):
    """``nn.Conv2d`` by `dense_conv` and `depthwise_conv`."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        sizes: list[Any] = [self.stride, self.padding, self.dilation]
        is_usual = all(isinstance(size, tuple) for size in sizes)
        if not is_usual or self.padding_mode != 'zeros':  # set after `speed_up`
            out: Tensor = super()._conv_forward(x, weight, bias)
            return out
        if self.groups == 1:
            return dense_conv.conv2d(x, weight, bias, *sizes)
        return depthwise_conv.conv2d(x, weight, bias, *[*sizes, self.groups])


def speed_up(net: nn.Module) -> None:
    """Let the convolutions of a network run faster on CPUs; names stay."""
    for module in net.modules():
        if (
            type(module) is nn.Conv2d
            and (is_depthwise(module) or is_dense(module))
            and module.padding_mode == 'zeros'
            and not isinstance(module.padding, str)
        ):
            module.__class__ = Convolution


def is_depthwise(module: nn.Conv2d) -> bool:
    """Tell whether each channel has a kernel of its own."""
    return module.groups == module.in_channels == module.out_channels > 1


def is_dense(module: nn.Conv2d) -> bool:
    """Tell whether each kernel sees all channels of more than one pixel."""
    return module.groups == 1 and max(module.kernel_size) > 1
