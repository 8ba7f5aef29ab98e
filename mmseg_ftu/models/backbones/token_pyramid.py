"""Maps at strides 4, 8, 16 and 32 from a plain vision transformer.

A plain transformer has maps of one stride, that of its patches. As in the simple
feature pyramid of ViTDet (Li et al., "Exploring Plain Vision Transformer Backbones for
Object Detection", https://arxiv.org/abs/2203.16527) each level is made from one map
alone, by transposed convolutions or max pooling. Deviations:

* each level takes another block's map, the finest the earliest, and shares nothing
  with the other levels: so a loss on a level reaches only the blocks before it;
* group norm, so that a batch may be small;
* any patch size: with patches of 14 px, doublings lead to cells of 3.5 px, and the map
  is then sampled at the centres of cells of 4 px. All levels so cover the same area.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (4, 8, 16, 32)  # px
NUM_GROUPS = 32


class TokenPyramid(nn.Module):
    """Levels of a plain transformer's maps.

    Args:
        in_channels: Channels of the transformer's maps.
        channels: Channels of each level.
        patch: Side of a patch, px.

    Attributes:
        divisor: Height and width of images have to be multiples of it, px.
    """

    def __init__(self, in_channels: int, channels: int, patch: int) -> None:
        super().__init__()
        steps = [round(math.log2(patch / stride)) for stride in STRIDES]
        self.divisor = patch * 2 ** max(0, *(-step for step in steps))
        self.levels = nn.ModuleList(
            PyramidLevel(in_channels, channels, step, stride / (patch / 2**step))
            for stride, step in zip(STRIDES, steps, strict=True)
        )

    def forward(self, maps: list[Tensor], height: int, width: int) -> list[Tensor]:
        """Compute the levels of an image batch.

        Args:
            maps: One map of the transformer for each level, ``(N, C, h, w)``.
            height: Height of the area that the levels cover, px, a multiple of 32; the
                maps cover at least that.
            width: The same for the width.

        Returns:
            ``(N, channels, height / stride, width / stride)`` each.
        """
        return [
            level(x, height // stride, width // stride)
            for level, x, stride in zip(self.levels, maps, STRIDES, strict=True)
        ]


class PyramidLevel(nn.Module):
    """One level of the pyramid.

    Args:
        in_channels: Channels of the transformer's map.
        channels: Channels of the level.
        doublings: How often the size is doubled; where negative, halved.
        spacing: Side of the level's cells in cells of the map after that.
    """

    def __init__(
        self, in_channels: int, channels: int, doublings: int, spacing: float
    ) -> None:
        super().__init__()
        self.spacing = spacing
        layers = [nn.Conv2d(in_channels, channels, 1, bias=False), norm(channels)]
        for _ in range(doublings):
            layers += [
                nn.GELU(),
                nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False),
                norm(channels),
            ]
        layers += [nn.MaxPool2d(2) for _ in range(-doublings)]
        self.scale = nn.Sequential(*layers)
        self.smooth = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels)
        )

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """Compute the level, of a size in its own cells."""
        x = self.scale(x)
        if self.spacing == 1:
            x = x[..., :height, :width]
        else:
            x = sample(x, height, width, self.spacing)
        level: Tensor = self.smooth(x)
        return level


def norm(channels: int) -> nn.GroupNorm:
    """Return a group norm, of 32 groups where that divides the channels."""
    return nn.GroupNorm(math.gcd(NUM_GROUPS, channels), channels)


def sample(x: Tensor, height: int, width: int, spacing: float) -> Tensor:
    """Sample a map bilinearly at the centres of other cells.

    Both grids begin at the same corner. Two products of matrices: deterministic on a
    GPU in both directions, which ``torch.nn.functional.interpolate`` is not.

    Args:
        x: ``(N, C, h, w)``.
        height: Number of rows of the result.
        width: Number of its columns.
        spacing: Side of its cells, in cells of ``x``.

    Returns:
        ``(N, C, height, width)``.
    """
    rows = weights(height, x.shape[-2], spacing, x)
    columns = weights(width, x.shape[-1], spacing, x)
    return rows @ x @ columns.T


def weights(number: int, given: int, spacing: float, like: Tensor) -> Tensor:
    """Return the weights ``(number, given)`` of linear interpolation on a line."""
    centres = (torch.arange(number, device=like.device) + 0.5) * spacing - 0.5
    cells = torch.arange(given, device=like.device)
    centres = torch.minimum(centres.clamp(min=0), cells[-1:])
    return F.relu(1 - (centres[:, None] - cells).abs()).to(like.dtype)
