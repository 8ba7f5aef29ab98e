"""The pyramid of overlapping patches, reduced attention and Mix-FFN.

One implementation for two published backbones that differ in a few numbers:

* MiT: Xie et al., "SegFormer", section 3.1, https://arxiv.org/abs/2105.15203;
* PVTv2: Wang et al., "PVTv2", section 3, https://arxiv.org/abs/2106.13797.

Written from the papers for speed, and held equal to mmseg's MiT and timm's PVTv2 by
tests. What is faster, with figures in ``docs/performance.md``:

* tokens stay (N, h, w, C) in memory from the first layer to the last. Linear layers and
  norms want just that, and a convolution reads it as channels-last, so that nothing is
  copied between the two;
* attention never builds its weights (``scaled_dot_product_attention``).
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import DropPath, trunc_normal_
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.models.backbones.checkpointing import stages_to_recompute
from mmseg_ftu.models.backbones.mix_transformer_names import rename
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.weight_files import StateDict

MIN_SIZE = 32  # px; below, stage 1 is smaller than one window of the reduction
REDUCTIONS = (8, 4, 2, 1)  # of keys and values in each stage, in both papers
POOLED_SIZE = 7  # of keys and values with linear attention, PVTv2 section 3.2


class Arch(NamedTuple):
    """Numbers of a variant, one for each stage."""

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    mlp_ratios: tuple[float, ...]


class MixTransformer(PretrainedBackbone):
    """Base of :class:`MiT` and :class:`PVTv2`.

    Args:
        arch: Name of a variant, a key of ``archs``, or its numbers: a dict with the
            keys of :class:`Arch`.
        in_channels: Channels of the image.
        drop_path_rate: Stochastic depth of the last block, 0..1; it grows linearly from
            0 in the first.
        with_cp: Recompute each block in the backward pass, to save memory; or the
            stages (from 0) whose blocks are recomputed: the first has most of the
            memory.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, see
            :class:`PretrainedBackbone`.

    Attributes:
        out_channels: Channels of the maps, shallow to deep.
        strides: Strides of the maps, px: 4, 8, 16, 32.

    Raises:
        ValueError: ``arch`` is unknown or its numbers do not fit together.
    """

    archs: Mapping[str, Arch] = {}
    linear_archs: tuple[str, ...] = ()  # with linear attention
    embed_eps = reduction_eps = 1e-6  # of the norms after patches and reductions

    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'b2',
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        with_cp: bool | Sequence[int] = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        numbers = self._resolve(arch)
        self.out_channels = list(numbers.embed_dims)
        self.recomputed = stages_to_recompute(with_cp, len(self.out_channels))
        self.strides = [4 * 2**i for i in range(len(self.out_channels))]
        last = max(sum(numbers.depths) - 1, 1)
        rates = iter(drop_path_rate * i / last for i in range(last + 1))
        self.stages = nn.ModuleList(
            Stage(
                in_channels if i == 0 else numbers.embed_dims[i - 1],
                numbers.embed_dims[i],
                numbers.depths[i],
                numbers.num_heads[i],
                numbers.mlp_ratios[i],
                reduction=REDUCTIONS[i],
                drop_path_rates=list(islice(rates, numbers.depths[i])),
                linear=arch in self.linear_archs if isinstance(arch, str) else False,
                embed_eps=self.embed_eps,
                reduction_eps=self.reduction_eps,
            )
            for i in range(len(self.out_channels))
        )

    def _resolve(self, arch: str | Mapping[str, Any]) -> Arch:
        name = type(self).__name__
        if isinstance(arch, str) and arch in self.archs:
            return self.archs[arch]
        if isinstance(arch, str) or set(arch) != set(Arch._fields):
            raise ValueError(
                f'{name} arch={arch!r}: expected one of {", ".join(self.archs)}, or a '
                f'dict with the keys {", ".join(Arch._fields)}'
            )
        numbers = Arch(**{key: tuple(values) for key, values in arch.items()})
        if len({len(values) for values in numbers}) != 1 or not (
            1 <= len(numbers.depths) <= len(REDUCTIONS)
        ):
            problem = f'lists of one length, 1 to {len(REDUCTIONS)}'
        elif any(
            d % n for d, n in zip(numbers.embed_dims, numbers.num_heads, strict=True)
        ):
            problem = 'embed_dims that are multiples of num_heads'
        else:
            return numbers
        raise ValueError(f'{name} arch={arch!r}: expected {problem}')

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of an image batch.

        Args:
            x: ``(N, C, H, W)``, H and W at least 32.

        Returns:
            For each stage ``(N, out_channels[i], ceil(H / s), ceil(W / s))`` where
            ``s = strides[i]``, in channels-last memory.

        Raises:
            ValueError: The image is smaller than 32 x 32.
        """
        height, width = x.shape[-2:]
        if min(height, width) < MIN_SIZE:
            raise ValueError(
                f'{type(self).__name__} needs images of at least {MIN_SIZE} x '
                f'{MIN_SIZE} px, got height {height} and width {width}: resize or pad '
                'them in the pipeline'
            )
        maps = []
        for i, stage in enumerate(self.stages):
            x = stage(x, i in self.recomputed)
            maps.append(x)
        return maps

    def init_random(self) -> None:
        """Initialise as both official releases do: fan-out normal, ViT's linear."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.Conv2d):
                area = math.prod(module.kernel_size)
                fan_out = area * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def map_pretrained(self, state: StateDict) -> StateDict:
        """Translate names of the official releases, timm and mmseg; drop the head."""
        return rename(state)

    def describe_pretrained(self, state: StateDict) -> str:
        """Name the variants whose widths and depths the file has."""
        mapped = rename(state)
        dims: list[int] = []
        depths: list[int] = []
        while (key := f'stages.{len(dims)}.patch_embed.proj.weight') in mapped:
            blocks = rf'stages\.{len(dims)}\.blocks\.\d+\.norm1\.weight'
            depths.append(sum(bool(re.fullmatch(blocks, name)) for name in mapped))
            dims.append(len(mapped[key]))
        found = (tuple(dims), tuple(depths))
        names = [k for k, v in self.archs.items() if (v.embed_dims, v.depths) == found]
        if names:
            return f'Widths and depths in the file are those of arch={some_of(names)}.'
        return super().describe_pretrained(state)


class Stage(nn.Module):
    """Patch embedding, blocks and a norm: ``(N, C, H, W)`` to ``(N, dim, h, w)``."""

    def __init__(
        self,
        in_channels: int,
        dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
        reduction: int,
        drop_path_rates: Sequence[float],
        linear: bool,
        embed_eps: float,
        reduction_eps: float,
    ) -> None:
        super().__init__()
        first = reduction == REDUCTIONS[0]
        self.patch_embed = PatchEmbed(
            in_channels, dim, 7 if first else 3, 4 if first else 2, embed_eps
        )
        self.blocks = nn.ModuleList(
            Block(dim, num_heads, mlp_ratio, reduction, rate, linear, reduction_eps)
            for _, rate in zip(range(depth), drop_path_rates, strict=True)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor, with_cp: bool = False) -> Tensor:
        """Compute the stage's map, in channels-last memory."""
        x = self.patch_embed(x)
        for block in self.blocks:
            if with_cp and torch.is_grad_enabled():
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return to_channels_first(self.norm(x))


class PatchEmbed(nn.Module):
    """Overlapping patches: a strided convolution and a norm, to ``(N, h, w, C)``."""

    def __init__(
        self, in_channels: int, dim: int, kernel_size: int, stride: int, eps: float
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, dim, kernel_size, stride, kernel_size // 2)
        self.norm = nn.LayerNorm(dim, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, h, w, dim)``."""
        x = self.proj(x.contiguous(memory_format=torch.channels_last))
        tokens: Tensor = self.norm(to_tokens(x))
        return tokens


class Block(nn.Module):
    """Attention and Mix-FFN with residuals, tokens ``(N, h, w, C)`` in and out."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        reduction: int,
        drop_path_rate: float,
        linear: bool,
        reduction_eps: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, reduction, linear, reduction_eps)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MixFFN(dim, int(dim * mlp_ratio), linear)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens to tokens of the same shape."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


class Attention(nn.Module):
    """Self-attention whose keys and values come from a coarser grid.

    Args:
        dim: Number of channels.
        num_heads: Number of attention heads.
        reduction: Size of the windows (px) that give one key each; 1: none.
        linear: Pool to 7 x 7 instead, whatever the size (PVTv2-Li).
        eps: Epsilon of the norm after the reduction.
    """

    def __init__(
        self, dim: int, num_heads: int, reduction: int, linear: bool, eps: float
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.linear = linear
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.sr: nn.Conv2d | None = None
        if linear or reduction > 1:
            size = 1 if linear else reduction
            self.sr = nn.Conv2d(dim, dim, size, size)
            self.norm = nn.LayerNorm(dim, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(N, h, w, C)`` to tokens of the same shape."""
        heads = (self.num_heads, -1)
        q = self.q(x).flatten(1, 2).unflatten(2, heads).transpose(1, 2)
        kv = self.kv(self._reduce(x)).flatten(1, 2).unflatten(2, (2, *heads))
        k, v = kv.transpose(1, 3).unbind(2)
        out = F.scaled_dot_product_attention(q, k, v)  # (N, heads, h * w, C / heads)
        tokens: Tensor = self.proj(out.transpose(1, 2).reshape(x.shape))
        return tokens

    def _reduce(self, x: Tensor) -> Tensor:
        if self.sr is None:
            return x
        x = to_channels_first(x)
        if self.linear:
            x = F.adaptive_avg_pool2d(x, POOLED_SIZE)
        x = self.norm(to_tokens(self.sr(x)))
        return F.gelu(x) if self.linear else x


class MixFFN(nn.Module):
    """Two linear layers with a depthwise 3 x 3 convolution between them."""

    def __init__(self, dim: int, hidden: int, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.fc1 = nn.Linear(dim, hidden)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(N, h, w, C)`` to tokens of the same shape."""
        x = self.fc1(x)
        if self.relu:
            x = F.relu(x)
        x = to_tokens(self.dwconv(to_channels_first(x)))
        tokens: Tensor = self.fc2(F.gelu(x))
        return tokens


def to_channels_first(tokens: Tensor) -> Tensor:
    """View ``(N, h, w, C)`` as ``(N, C, h, w)`` in channels-last memory."""
    return tokens.permute(0, 3, 1, 2)


def to_tokens(x: Tensor) -> Tensor:
    """Return ``(N, C, h, w)`` as contiguous ``(N, h, w, C)``, a view where it can."""
    return x.permute(0, 2, 3, 1).contiguous()
