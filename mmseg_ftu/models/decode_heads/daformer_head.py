"""DAFormer decoder: embed every level, bring all to the finest, fuse.

Paper: Hoyer et al., "DAFormer: Improving Network Architectures and Training
Strategies for Domain-Adaptive Semantic Segmentation", section 3.1,
https://arxiv.org/abs/2111.14887; official code https://github.com/lhoyer/DAFormer.
Built on mmseg's and mmcv's modules. Two settings are in use:

* official: ``embed='mlp'``, ``upsample='bilinear'``, ``fusion='sep_aspp'``, 256
  channels;
* the decoder of the switched-auxiliary-loss paper (arXiv 2308.10994, its authors'
  public code), which has no ASPP: ``embed='conv'``, ``upsample='mix'`` and
  ``fusion='conv1x1'`` (CoaT, MiT) or ``'conv3x3'`` (PVTv2), 320 channels.

Deviations from the authors' decoder: a 1 x 1 fusion is applied before up-sampling,
not after, with the same result (see :meth:`DAFormerHead._fuse_early`); dropout is
mmseg's, of whole channels, theirs of single values.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_ftu.models.decode_heads.one_channel import require_threshold
from mmseg_ftu.models.ops.convolution import speed_up

OPTIONS = {
    'embed': ('mlp', 'conv'),
    'upsample': ('bilinear', 'mix'),
    'fusion': ('sep_aspp', 'conv1x1', 'conv3x3'),
}


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Decode any number of levels at the resolution of the first.

    Args:
        in_channels: Channels of the levels that are used, shallow to deep.
        in_index: Indices of the levels among the backbone's maps (0-based); default:
            the first ``len(in_channels)``.
        embed_channels: Channels of each embedded level.
        channels: Channels after the fusion.
        embed: Kind of embedding. ``'mlp'``: a linear layer for each pixel, without norm
            and activation; ``'conv'``: 1 x 1 convolution, norm and activation.
        upsample: Way of up-sampling: ``'bilinear'``, or ``'mix'``: ``w * bilinear + (1
            - w) * nearest`` with one learnable ``w`` for each level but the first,
            which keeps its size. As in the authors' code it starts at 0.5 and is not
            squashed by a sigmoid: both ends can be reached, and beyond 0..1 it
            extrapolates.
        fusion: Kind of fusion. ``'sep_aspp'``: depthwise separable ASPP and a 3 x 3
            bottleneck; ``'conv1x1'`` or ``'conv3x3'``: one convolution. Each with norm
            and activation.
        dilations: Dilations of the ASPP, px of the first level.
        norm_cfg: Config of all norms; BatchNorm as in both codes.
        **kwargs: Arguments of mmseg's ``BaseDecodeHead``. With one output channel
            ``threshold`` must be given.

    Raises:
        ValueError: An unknown option, ``in_index`` of another length than
            ``in_channels``, or one output channel without a threshold.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int] | None = None,
        embed_channels: int = 256,
        channels: int = 256,
        embed: str = 'mlp',
        upsample: str = 'bilinear',
        fusion: str = 'sep_aspp',
        dilations: Sequence[int] = (1, 6, 12, 18),
        norm_cfg: dict[str, Any] | None = dict(type='BN'),  # noqa: B006 (never modified)
        **kwargs: Any,
    ) -> None:
        in_index = list(range(len(in_channels)) if in_index is None else in_index)
        chosen = dict(embed=embed, upsample=upsample, fusion=fusion)
        _check_arguments(chosen, in_channels, in_index, kwargs)
        super().__init__(
            in_channels=list(in_channels),
            in_index=in_index,
            channels=channels,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        self.fusion = fusion
        self.embeds = nn.ModuleList(
            self._conv(width, embed_channels, 1)
            if embed == 'conv'
            else nn.Conv2d(width, embed_channels, 1)
            for width in in_channels
        )
        self.mix: nn.Parameter | None = None
        if upsample == 'mix':
            self.mix = nn.Parameter(torch.full((len(in_channels) - 1,), 0.5))
        width = embed_channels * len(in_channels)
        if fusion == 'sep_aspp':
            self.aspp = self._aspp(width, dilations)
            width = channels * len(dilations)
        self.fuse = self._conv(width, channels, 1 if fusion == 'conv1x1' else 3)
        speed_up(self)

    def _aspp(self, in_channels: int, dilations: Sequence[int]) -> nn.ModuleList:
        aspp: nn.ModuleList = DepthwiseSeparableASPPModule(
            dilations=tuple(dilations),
            in_channels=in_channels,
            channels=self.channels,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )
        return aspp

    def _conv(self, in_channels: int, out_channels: int, size: int) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            size,
            padding=size // 2,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the logits at the size of the first level used.

        Args:
            inputs: Maps of the backbone, ``(N, C, h, w)`` each.

        Returns:
            ``(N, out_channels, h, w)`` of the first level; mmseg resizes it.

        Raises:
            ValueError: In training, BatchNorm would see a single value per channel.
        """
        levels = self._transform_inputs(inputs)
        for index, x, embed in zip(self.in_index, levels, self.embeds, strict=True):
            _check_norm(index, x, embed)
        if self.fusion == 'conv1x1' and self.conv_cfg is None:
            fused = self._fuse_early(levels)
        else:
            levels = [f(x) for f, x in zip(self.embeds, levels, strict=True)]
            x = torch.cat(self._upsample(levels), dim=1)
            if self.fusion == 'sep_aspp':
                x = torch.cat(self.aspp(x), dim=1)
            fused = self.fuse(x)
        logits: Tensor = self.cls_seg(fused)
        return logits

    def _fuse_early(self, inputs: list[Tensor]) -> Tensor:
        """Apply the 1 x 1 fusion before resizing, with which it commutes.

        So it runs at each level's own size, and the concatenation (in float32 236 MB
        per 768 px image for 5 x 320 channels) is never built. With ``embed='mlp'``
        nothing stands between embedding and fusion, so the two are one convolution
        from the level's width.
        """
        weights = self.fuse.conv.weight.chunk(len(inputs), dim=1)
        biases = [self.fuse.conv.bias] + [None] * (len(inputs) - 1)
        levels = []
        for x, embed, weight, bias in zip(
            inputs, self.embeds, weights, biases, strict=True
        ):
            if isinstance(embed, nn.Conv2d):
                fused = fold(weight.flatten(1), embed, bias)
                levels.append(F.conv2d(x, *fused))
            else:
                levels.append(F.conv2d(embed(x), weight, bias))
        x = reduce(torch.add, self._upsample(levels))
        if self.fuse.with_norm:
            x = self.fuse.norm(x)
        if self.fuse.with_activation:
            x = self.fuse.activate(x)
        return x

    def _upsample(self, levels: list[Tensor]) -> list[Tensor]:
        """Resize all levels to the first, which stays as it is."""
        first, *others = levels
        size = first.shape[2:]
        resized = [
            F.interpolate(x, size, mode='bilinear', align_corners=self.align_corners)
            for x in others
        ]
        if self.mix is not None:
            nearest = [F.interpolate(x, size, mode='nearest') for x in others]
            resized = [
                torch.lerp(n, b, w)
                for n, b, w in zip(nearest, resized, self.mix, strict=True)
            ]
        return [first, *resized]


def fold(
    weight: Tensor, conv: nn.Conv2d, bias: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of ``x -> weight @ conv(x) + bias``, as one convolution.

    Args:
        weight: ``(D, C)``.
        conv: 1 x 1 convolution to C channels.
        bias: ``(D,)`` or None.
    """
    folded = (weight @ conv.weight.flatten(1))[..., None, None]
    if conv.bias is None:
        return folded, bias
    shift = weight @ conv.bias
    return folded, shift if bias is None else shift + bias


def _check_arguments(
    chosen: dict[str, str],
    in_channels: Sequence[int],
    in_index: Sequence[int],
    base: dict[str, Any],
) -> None:
    for name, value in chosen.items():
        if value not in OPTIONS[name]:
            raise ValueError(
                f'DAFormerHead {name}={value!r}: expected one of {OPTIONS[name]}'
            )
    if len(in_index) != len(in_channels):
        raise ValueError(
            f'DAFormerHead in_index={in_index} selects {len(in_index)} levels, but '
            f'in_channels={list(in_channels)} describes {len(in_channels)}'
        )
    require_threshold('DAFormerHead', base)


def _check_norm(index: int, x: Tensor, embed: nn.Module) -> None:
    norm = getattr(embed, 'norm', None)
    if isinstance(norm, nn.BatchNorm2d) and norm.training and x.shape[1] == x.numel():
        raise ValueError(
            f'DAFormerHead: the map of in_index {index} is 1 x 1 at batch size 1, and '
            'BatchNorm cannot be trained on one value. Use a larger crop or batch, or '
            "norm_cfg=dict(type='GN', num_groups=32)"
        )
