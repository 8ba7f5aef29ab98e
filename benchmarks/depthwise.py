"""Time the gradients of depthwise convolutions, ours against torch's, on a CPU.

    python benchmarks/depthwise.py [--rounds 7]

Layers of EfficientNet, ConvNeXt and CoaT, batch 8 of 224 px, channels-last; one call is
a forward and a backward pass. Contestants take turns.
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

# what, channels, side of the output (px), kernel, stride
LAYERS = [
    ('EfficientNet-Lite0, stage 2, stride 2', 96, 56, 3, 2),
    ('EfficientNet-Lite0, stage 3, stride 2', 144, 28, 5, 2),
    ('EfficientNet-Lite0, stage 3', 240, 28, 5, 1),
    ('EfficientNet-Lite0, stage 5', 672, 14, 5, 1),
    ('EfficientNet-Lite0, stage 6', 1152, 7, 5, 1),
    ('ConvNeXt-Tiny, stage 1', 96, 56, 7, 1),
    ('CoaT-Lite-Small, window 7, stage 1', 24, 56, 7, 1),
]
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
    for name, channels, side, kernel, stride in LAYERS:
        for dtype in (torch.float32, torch.bfloat16):
            row = compare(channels, side, kernel, stride, dtype, args.rounds)
            kind = str(dtype).removeprefix('torch.')
            print(f'| {name} | {kernel} | {kind} | {row} |', flush=True)


def compare(
    channels: int, side: int, kernel: int, stride: int, dtype: torch.dtype, rounds: int
) -> str:
    shape = BATCH, channels, side * stride, side * stride
    x = torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, kernel, kernel, dtype=dtype, requires_grad=True)
    x.requires_grad_()
    args = x, weight, None, (stride, stride), (kernel // 2,) * 2, (1, 1), channels
    grad = torch.randn_like(F.conv2d(*args))
    ours, theirs = [], []
    for i in range(rounds + 1):
        for times, function in ((ours, conv2d), (theirs, F.conv2d)):
            elapsed = clock(function, args, grad)
            if i:  # the first is to warm up
                times.append(elapsed)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return (
        f'{median(ours):.1f} | {median(theirs):.1f} | {median(ratios):.1f} '
        f'({min(ratios):.1f} to {max(ratios):.1f})'
    )


def clock(function: Callable[..., Tensor], args: tuple, grad: Tensor) -> float:
    """Return the milliseconds of a forward and a backward pass."""
    start = time.perf_counter()
    function(*args).backward(grad)
    return 1e3 * (time.perf_counter() - start)


if __name__ == '__main__':
    main()
