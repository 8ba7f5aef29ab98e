"""mmseg's ResNet, under the contract of our backbones.

Paper: He et al., "Deep Residual Learning", https://arxiv.org/abs/1512.03385. The
network is mmseg's; this class adds ``out_channels``, a list as output, and weights that
are loaded completely or not at all.
"""

from itertools import pairwise
from typing import Any

import torch
from mmengine.model import initialize
from mmseg.models.backbones import ResNet as MMSegResNet
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_ftu.models.backbones.checkpointing import (
    CheckpointedSequential,
    require_all_or_none,
)
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.weight_files import StateDict
from mmseg_ftu.models.ops.convolution import speed_up

STRIDES = (4, 8, 16, 32)  # px, of the four stages without dilation


@MODELS.register_module()
class FTUResNet(PretrainedBackbone, MMSegResNet):
    """ResNet backbone.

    Args:
        depth: Number of layers: 18, 34, 50, 101 or 152.
        output_stride: Stride of the last map, 32, 16 or 8 (px); where it is less than
            32, the last stages are dilated in place of their strides.
        with_cp: Recompute each block in the backward pass, to save memory.
        init_cfg: ``dict(type='Pretrained', checkpoint='timm://resnet101.tv_in1k')``, or
            another file with torchvision's names, see :class:`PretrainedBackbone`.
        **kwargs: Arguments of mmseg's ``ResNet``, such as ``norm_eval``.

    Attributes:
        out_channels: Channels of the maps, shallow to deep.
        strides: Strides of the maps, px.

    Raises:
        ValueError: Unknown ``depth`` or ``output_stride``.
    """

    def __init__(
        self,
        depth: int = 101,
        output_stride: int = 32,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        require_all_or_none(with_cp)
        if depth not in self.arch_settings:
            raise ValueError(
                f'FTUResNet depth={depth!r}: expected one of {list(self.arch_settings)}'
            )
        if output_stride not in (8, 16, 32):
            raise ValueError(
                f'FTUResNet output_stride={output_stride!r}: expected 8, 16 or 32'
            )
        strides = [min(stride, output_stride) for stride in STRIDES]
        super().__init__(
            depth=depth,
            strides=[1] + [b // a for a, b in pairwise(strides)],
            dilations=[full // s for full, s in zip(STRIDES, strides, strict=True)],
            **kwargs,
        )
        self.init_cfg = init_cfg
        for name in self.res_layers if with_cp else ():
            setattr(self, name, CheckpointedSequential(*getattr(self, name)))
        self.strides = strides
        self.out_channels = [
            self.block.expansion * self.base_channels * 2**i for i in range(4)
        ]
        speed_up(self)
        # as the maps: their casts and gradients need not be turned
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of an image batch.

        Args:
            x: ``(N, C, H, W)``, any H and W.

        Returns:
            For each stage ``(N, out_channels[i], ceil(H / s), ceil(W / s))`` where
            ``s = strides[i]``.
        """
        # in this memory format all convolutions are faster: benchmarks/README.md
        return list(super().forward(x.contiguous(memory_format=torch.channels_last)))

    def train(self, mode: bool = True) -> 'FTUResNet':
        """Set the mode and return the module, which mmseg's forgets."""
        super().train(mode)
        return self

    def init_random(self) -> None:
        """Initialise as mmseg does, with each residual branch starting at zero."""
        initialize(self, [dict(type='Kaiming', layer='Conv2d')])
        for module in self.modules():
            if isinstance(module, self.block):
                last = module.norm3 if hasattr(module, 'norm3') else module.norm2
                nn.init.zeros_(last.weight)

    def map_pretrained(self, state: StateDict) -> StateDict:
        """Drop the classification layer."""
        return {k: v for k, v in state.items() if not k.startswith('fc.')}
