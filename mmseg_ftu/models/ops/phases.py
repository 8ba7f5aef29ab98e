"""Split maps into the pixels that a dilated convolution sees together, and join them.

A convolution of stride 1 whose taps are d px apart never mixes pixels whose places
differ by anything but multiples of d. So a map consists of d x d *phases*, smaller maps
of every d-th pixel, and the convolution is a plain one on each of them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def split(x: Tensor, dilation: tuple[int, int], least: tuple[int, int]) -> Tensor:
    """Return the phases of maps as a larger batch.

    Args:
        x: ``(N, C, H, W)``.
        dilation: Distance of the pixels of a phase, vertical and horizontal.
        least: Smallest height and width of a phase; zeros fill up what is missing,
            below and on the right.

    Returns:
        ``(N * dh * dw, C, h, w)``, in channels-last layout.
    """
    n, c, *sides = x.shape
    h, w = (
        max(-(-side // step), floor)
        for side, step, floor in zip(sides, dilation, least, strict=True)
    )
    dh, dw = dilation
    missing = h * dh - sides[0], w * dw - sides[1]
    if any(missing):  # padding by nothing would copy
        x = F.pad(x, (0, missing[1], 0, missing[0]))
    pixels = x.permute(0, 2, 3, 1).reshape(n, h, dh, w, dw, c)
    phases = pixels.permute(0, 2, 4, 1, 3, 5).reshape(n * dh * dw, h, w, c)
    return phases.permute(0, 3, 1, 2)


def join(phases: Tensor, dilation: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Undo `split`.

    Args:
        phases: ``(N * dh * dw, C, h, w)``.
        dilation: As given to `split`.
        size: Height and width of the maps, px.

    Returns:
        ``(N, C, H, W)``, in channels-last layout.
    """
    _, c, h, w = phases.shape
    dh, dw = dilation
    pixels = phases.permute(0, 2, 3, 1).reshape(-1, dh, dw, h, w, c)
    pixels = pixels.permute(0, 3, 1, 4, 2, 5).reshape(-1, h * dh, w * dw, c)
    x = pixels[:, : size[0], : size[1]].permute(0, 3, 1, 2)
    return x.contiguous(memory_format=torch.channels_last)
