"""Time the gradients of single convolutions, ours against torch's, on a CPU.

    python benchmarks/convolutions.py [--rounds 7]

Depthwise layers of EfficientNet, ConvNeXt, CoaT and of heads with an ASPP, batch 8 of
224 px, and dense ones of ResNets and U-Nets, one image of 768 px; one call is a forward
and a backward pass. Ours run in channels-last layout, as our networks do, torch's in
that and in its own. The ratio is to the faster of these two. Contestants take turns.
"""

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ftu.engine.bf16_optim_wrapper import computes_bf16
from mmseg_ftu.models.ops import dense_conv, depthwise_conv

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
# the same with two numbers of channels, before and after
DENSE_LAYERS = [
    ('ResNet, stage 1', (64, 64), 192, 3, 1, 1),
    ('ResNet, stage 2', (128, 128), 96, 3, 1, 1),
    ('ResNet, stage 2, stride 2', (128, 128), 96, 3, 2, 1),
    ('ResNet, stage 3', (256, 256), 48, 3, 1, 1),
    ('U-Net on ResNet-18, block at stride 8', (384, 128), 96, 3, 1, 1),
    ('U-Net on ResNet-18, block at stride 4', (192, 64), 192, 3, 1, 1),
]
LAYOUTS = {
    'torch, channels-last, ms': torch.channels_last,
    'torch, own layout, ms': torch.contiguous_format,
}
BATCH = 8  # of depthwise layers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rounds', type=int, default=7)
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error(f'--rounds {args.rounds}: give a number above 0')
    print(
        f'torch {torch.__version__}, {platform.machine()} CPU, '
        f'{torch.get_num_threads()} threads\n'
    )
    dtypes = [torch.float32]
    if computes_bf16('cpu'):
        dtypes.append(torch.bfloat16)
    else:
        print('no bfloat16: it is not faster on this processor\n')
    columns = 'layer', 'kernel', 'type', 'ours, ms', *LAYOUTS, 'times slower'
    print(f'| {" | ".join(columns)} |')
    print('|---' * len(columns) + '|')
    for name, *layer in [*LAYERS, *DENSE_LAYERS]:
        for dtype in dtypes:
            row = compare(*layer, dtype=dtype, rounds=args.rounds)
            kind = str(dtype).removeprefix('torch.')
            print(f'| {name} | {layer[2]} | {kind} | {row} |', flush=True)


def compare(
    channels: int | tuple[int, int],
    side: int,
    kernel: int,
    stride: int,
    dilation: int,
    dtype: torch.dtype,
    rounds: int,
) -> str:
    depthwise = isinstance(channels, int)
    before, after = (channels, channels) if depthwise else channels
    groups = (before,) if depthwise else ()
    batch = BATCH if depthwise else 1
    x = torch.randn((batch, before, side * stride, side * stride), dtype=dtype)
    shape = after, 1 if depthwise else before, kernel, kernel
    padding = kernel // 2 * dilation
    rest = None, (stride,) * 2, (padding,) * 2, (dilation,) * 2, *groups

    def inputs(layout: torch.memory_format) -> tuple[tuple, Tensor]:
        own = x.contiguous(memory_format=layout).requires_grad_()
        weight = torch.randn(shape, dtype=dtype).contiguous(memory_format=layout)
        args = own, weight.requires_grad_(), *rest
        return args, torch.randn_like(F.conv2d(*args))

    conv2d = depthwise_conv.conv2d if depthwise else dense_conv.conv2d
    ours = conv2d, *inputs(torch.channels_last)
    contestants = [ours, *((F.conv2d, *inputs(layout)) for layout in LAYOUTS.values())]
    times: list[list[float]] = [[] for _ in contestants]
    for i in range(rounds + 1):
        for contestant, taken in zip(contestants, times, strict=True):
            elapsed = clock(*contestant)
            if i:  # the first is to warm up
                taken.append(elapsed)
    own, *others = times
    theirs = min(others, key=median)
    ratios = [b / a for a, b in zip(own, theirs, strict=True)]
    medians = ' | '.join(f'{median(taken):.1f}' for taken in times)
    span = f'{min(ratios):.1f} to {max(ratios):.1f}'
    return f'{medians} | {median(ratios):.1f} ({span})'


def clock(function: Callable[..., Tensor], args: tuple, grad: Tensor) -> float:
    """Return the milliseconds of a forward and a backward pass."""
    start = time.perf_counter()
    function(*args).backward(grad)
    return 1e3 * (time.perf_counter() - start)


if __name__ == '__main__':
    main()
