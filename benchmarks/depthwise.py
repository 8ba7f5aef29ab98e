"""Time the gradients of depthwise convolutions, ours against torch's, on a CPU.

    python benchmarks/depthwise.py [--rounds 7]

Layers of EfficientNet, ConvNeXt, CoaT and of heads with an ASPP, batch 8 of 224 px; one
call is a forward and a backward pass. Ours run in channels-last layout, as our networks
do, and torch's in the layout in which they are faster. Contestants take turns.
"""

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ftu.models.ops.depthwise_conv import conv2d

# what, channels, side of the output (px), kernel, stride, dilation
LAYERS = [
    ('EfficientNet-Lite0, stage 2, stride 2', 96, 56, 3, 2, 1),
    ('EfficientNet-Lite0, stage 3, stride 2', 144, 28, 5, 2, 1),
    ('EfficientNet-Lite0, stage 3', 240, 28, 5, 1, 1),
    ('EfficientNet-Lite0, stage 5', 672, 14, 5, 1, 1),
    ('EfficientNet-Lite0, stage 6', 1152, 7, 5, 1, 1),
    ('EfficientNet-B5 at stride 16, dilation 2', 1824, 14, 5, 1, 2),
    ('ConvNeXt-Tiny, stage 1', 96, 56, 7, 1, 1),
    ('CoaT-Lite-Small, window 7, stage 1', 24, 56, 7, 1, 1),
    ('DAFormer, ASPP, dilation 6', 1024, 56, 3, 1, 6),
    ('DAFormer, ASPP, dilation 18', 1024, 56, 3, 1, 18),
    ('DeepLabv3+ on ResNet-101, dilation 6', 2048, 14, 3, 1, 6),
]
LAYOUTS = torch.channels_last, torch.contiguous_format
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rounds', type=int, default=7)
    args = parser.parse_args()
    print(
        f'torch {torch.__version__}, {platform.machine()} CPU, '
        f'{torch.get_num_threads()} threads, batch {BATCH}\n'
    )
    print('| layer | kernel | type | ours, ms | torch, ms | times slower |')
    print('|---|---|---|---|---|---|')
    for name, *layer in LAYERS:
        for dtype in (torch.float32, torch.bfloat16):
            row = compare(*layer, dtype=dtype, rounds=args.rounds)
            kind = str(dtype).removeprefix('torch.')
            print(f'| {name} | {layer[2]} | {kind} | {row} |', flush=True)


def compare(
    channels: int,
    side: int,
    kernel: int,
    stride: int,
    dilation: int,
    dtype: torch.dtype,
    rounds: int,
) -> str:
    shape = BATCH, channels, side * stride, side * stride
    x = torch.randn(shape, dtype=dtype)
    weight = torch.randn(channels, 1, kernel, kernel, dtype=dtype, requires_grad=True)
    padding = kernel // 2 * dilation
    rest = None, (stride,) * 2, (padding,) * 2, (dilation,) * 2, channels

    def inputs(layout: torch.memory_format) -> tuple[tuple, Tensor]:
        own = x.contiguous(memory_format=layout).requires_grad_()
        args = own, weight, *rest
        return args, torch.randn_like(F.conv2d(*args))

    ours = conv2d, *inputs(torch.channels_last)
    contestants = [ours, *((F.conv2d, *inputs(layout)) for layout in LAYOUTS)]
    times: list[list[float]] = [[] for _ in contestants]
    for i in range(rounds + 1):
        for contestant, taken in zip(contestants, times, strict=True):
            elapsed = clock(*contestant)
            if i:  # the first is to warm up
                taken.append(elapsed)
    own, *others = times
    theirs = min(others, key=median)
    ratios = [b / a for a, b in zip(own, theirs, strict=True)]
    return (
        f'{median(own):.1f} | {median(theirs):.1f} | {median(ratios):.1f} '
        f'({min(ratios):.1f} to {max(ratios):.1f})'
    )


def clock(function: Callable[..., Tensor], args: tuple, grad: Tensor) -> float:
    """Return the milliseconds of a forward and a backward pass."""
    start = time.perf_counter()
    function(*args).backward(grad)
    return 1e3 * (time.perf_counter() - start)


if __name__ == '__main__':
    main()
