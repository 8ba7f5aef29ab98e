"""The blocks of CoaT, with the names of the official release and timm.

A scale's tokens lie as ``(N, h * w, C)``, row by row, which is a map in channels-last
memory, and its class token apart as ``(N, 1, C)``. So neither convolutions nor linear
layers need a copy.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from torch import Tensor, nn

from mmseg_ftu.models.ops.conv_attention import conv_attention
from mmseg_ftu.models.ops.token_mlp import normed_mlp

# The same in all official variants.
NUM_HEADS = 8
WINDOWS = {3: 2, 5: 3, 7: 3}  # px -> number of heads
EPS = 1e-6  # of the norms

Size = tuple[int, int]


class Scale(NamedTuple):
    """Tokens of a scale.

    Attributes:
        tokens: ``(N, h * w, C)``.
        cls_token: ``(N, 1, C)``.
    """

    tokens: Tensor
    cls_token: Tensor


class PatchEmbed(nn.Module):
    """Patches that do not overlap: a convolution and a norm, to ``(N, h * w, C)``."""

    def __init__(self, in_channels: int, dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, patch_size, patch_size)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to tokens, row by row."""
        x = self.proj(x.contiguous(memory_format=torch.channels_last))
        tokens: Tensor = self.norm(to_tokens(x))
        return tokens


class ConvPosEnc(nn.Module):
    """Positions by a depthwise convolution, added to the tokens."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, tokens: Tensor, size: Size) -> Tensor:
        """Map ``(N, h * w, C)`` to the same shape."""
        added: Tensor = self.proj(to_map(tokens, size))
        return tokens + to_tokens(added)


class ConvRelPosEnc(nn.Module):
    """Kernels of the relative positions, wider for some heads than for others."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        widths = {size: heads * dim // NUM_HEADS for size, heads in WINDOWS.items()}
        self.conv_list: Iterable[Any] = nn.ModuleList(
            nn.Conv2d(width, width, size, padding=size // 2, groups=width)
            for size, width in widths.items()
        )

    def kernels(self) -> tuple[Tensor, Tensor]:
        """Return them as those of one convolution, ``(C, 1, 7, 7)`` and ``(C,)``."""
        largest = max(WINDOWS)
        weights = [
            F.pad(conv.weight, [(largest - size) // 2] * 4)
            for size, conv in zip(WINDOWS, self.conv_list, strict=True)
        ]
        return torch.cat(weights), torch.cat([conv.bias for conv in self.conv_list])


class ConvAttention(nn.Module):
    """Factorised attention with relative positions, see ``ops/conv_attention.py``."""

    def __init__(self, dim: int, crpe: ConvRelPosEnc) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.crpe = crpe

    def forward(self, scale: Scale, size: Size) -> Scale:
        """Attend within each image."""
        qkv, class_qkv = (self.qkv(tokens) for tokens in scale)
        weight, bias = self.crpe.kernels()
        attended = conv_attention(qkv, class_qkv, size, weight, bias, NUM_HEADS)
        return Scale(*(self.proj(tokens) for tokens in attended))


class Mlp(nn.Module):
    """The two linear layers of a block."""

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, int(dim * ratio))
        self.fc2 = nn.Linear(int(dim * ratio), dim)

    def forward(self, scale: Scale, norm: nn.LayerNorm) -> Scale:
        """Map the tokens, normed first."""
        return Scale(*(normed_mlp(t, norm, self.fc1, self.fc2) for t in scale))


class SerialBlock(nn.Module):
    """Positions, attention and MLP within a scale.

    Args:
        dim: Number of channels.
        mlp_ratio: Hidden width of the MLP in units of ``dim``.
        drop_path_rate: Stochastic depth, 0..1.
        cpe: Positions, shared by the blocks of a scale.
        crpe: Relative positions, shared by them too.
    """

    def __init__(
        self,
        dim: int,
        mlp_ratio: float,
        drop_path_rate: float,
        cpe: ConvPosEnc,
        crpe: ConvRelPosEnc,
    ) -> None:
        super().__init__()
        self.cpe = cpe
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.factoratt_crpe = ConvAttention(dim, crpe)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = Mlp(dim, mlp_ratio)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, scale: Scale, size: Size) -> Scale:
        """Map tokens to tokens of the same shape."""
        scale = Scale(self.cpe(scale.tokens, size), scale.cls_token)
        attended = self.factoratt_crpe(norm(scale, self.norm1), size)
        scale = add(scale, attended, self.drop_path)
        return add(scale, self.mlp(scale, self.norm2), self.drop_path)


class ParallelBlock(nn.Module):
    """Attend within each scale, then add up all scales, then one MLP for all.

    Args:
        dim: Channels of each scale.
        mlp_ratio: Hidden width of the MLP in units of ``dim``.
        crpes: Relative positions of each scale; their number is that of the scales,
            which are named from 2 as in published files.
        drop_path_rate: Stochastic depth, 0..1.
    """

    def __init__(
        self,
        dim: int,
        mlp_ratio: float,
        crpes: list[ConvRelPosEnc],
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.names = range(2, len(crpes) + 2)
        mlp = Mlp(dim, mlp_ratio)
        for k, crpe in zip(self.names, crpes, strict=True):
            self.add_module(f'norm1{k}', nn.LayerNorm(dim, eps=EPS))
            self.add_module(f'factoratt_crpe{k}', ConvAttention(dim, crpe))
            self.add_module(f'norm2{k}', nn.LayerNorm(dim, eps=EPS))
            self.add_module(f'mlp{k}', mlp)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, scales: list[Scale], sizes: list[Size]) -> list[Scale]:
        """Map the tokens of each scale to tokens of the same shape."""
        attended = []
        for k, scale, size in zip(self.names, scales, sizes, strict=True):
            normed = norm(scale, getattr(self, f'norm1{k}'))
            attended.append(getattr(self, f'factoratt_crpe{k}')(normed, size))
        out = []
        mixed = mix_scales(attended, sizes)
        for k, scale, update in zip(self.names, scales, mixed, strict=True):
            scale = add(scale, update, self.drop_path)
            mapped = getattr(self, f'mlp{k}')(scale, getattr(self, f'norm2{k}'))
            out.append(add(scale, mapped, self.drop_path))
        return out


def norm(scale: Scale, layer: nn.LayerNorm) -> Scale:
    """Norm the tokens of a scale."""
    return Scale(*(layer(tokens) for tokens in scale))


def add(scale: Scale, update: Scale, drop_path: DropPath) -> Scale:
    """Add a residual branch, which stochastic depth leaves out for whole images."""
    if drop_path.training and drop_path.drop_prob:
        # drawn once for an image, not for its class token apart
        drop = drop_path(scale.cls_token.new_ones(len(scale.tokens), 1, 1))
        update = Scale(*(tokens * drop for tokens in update))
    return Scale(*(a + b for a, b in zip(scale, update, strict=True)))


def to_map(tokens: Tensor, size: Size) -> Tensor:
    """View ``(N, h * w, C)`` as ``(N, C, h, w)`` in channels-last memory."""
    rows: Tensor = tokens.unflatten(1, size)
    return rows.permute(0, 3, 1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """Return ``(N, C, h, w)`` as ``(N, h * w, C)``, a view where it can."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def mix_scales(scales: list[Scale], sizes: list[Size]) -> list[Scale]:
    """Add to each scale all others, bilinearly resized; class tokens as they are.

    Args:
        scales: Tokens of each, with the same N and C.
        sizes: Sizes ``(h, w)`` of the scales.
    """
    cls_token = reduce(torch.add, [scale.cls_token for scale in scales])
    maps = [to_map(s.tokens, size) for s, size in zip(scales, sizes, strict=True)]
    mixed = []
    for own, size in zip(maps, sizes, strict=True):
        others = [
            F.interpolate(other, size, mode='bilinear', align_corners=False)
            for other in maps
            if other is not own
        ]
        mixed.append(Scale(to_tokens(reduce(torch.add, others, own)), cls_token))
    return mixed
