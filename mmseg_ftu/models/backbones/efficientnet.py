"""EfficientNet with one map per resolution, from timm.

Paper: Tan & Le, "EfficientNet", https://arxiv.org/abs/1905.11946.

timm's rather than mmpretrain's: it replaces strides by dilation on request (DeepLabv3+
wants features at stride 16 or 8), extracts the last map before each change of
resolution, and its weights come through the same cache as those of our other backbones.
mmpretrain's does neither, so it would have to be written again.
"""

from collections.abc import Sequence
from typing import Any, cast

import timm
import torch
from mmseg.registry import MODELS
from timm.models import FeatureListNet
from torch import Tensor, nn

from mmseg_ftu.models.backbones.checkpointing import (
    CheckpointedSequential,
    require_all_or_none,
)
from mmseg_ftu.models.backbones.pretrained import PretrainedBackbone
from mmseg_ftu.models.backbones.weight_files import StateDict
from mmseg_ftu.models.ops.convolution import speed_up

ARCHS = ('b0', 'b1', 'b2', 'b3', 'b4', 'b5')
UNUSED = ('conv_head.', 'bn2.', 'classifier.')  # of classification


@MODELS.register_module()
class EfficientNet(PretrainedBackbone):
    """EfficientNet backbone.

    Args:
        arch: Name of the variant, ``b0`` to ``b5``.
        output_stride: Stride of the last map, 32, 16 or 8 (px); where it is less than
            32, the last stages are dilated in place of their strides.
        out_indices: Resolutions to return, 0 (stride 2) to 4 (stride 32). By default
            from stride 4 on, so that map k of every backbone has the same stride.
        in_channels: Channels of the image.
        drop_path_rate: Stochastic depth of the last block, 0..1.
        with_cp: Recompute each block in the backward pass, to save memory.
        init_cfg: ``dict(type='Pretrained', checkpoint=
            'timm://efficientnet_b5.sw_in12k_ft_in1k')``, see
            :class:`PretrainedBackbone`.

    Attributes:
        out_channels: Channels of the maps, shallow to deep.
        strides: Strides of the maps, px.

    Raises:
        ValueError: Unknown ``arch`` or ``output_stride``.
    """

    def __init__(
        self,
        arch: str = 'b5',
        output_stride: int = 32,
        out_indices: Sequence[int] = (1, 2, 3, 4),
        in_channels: int = 3,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        require_all_or_none(with_cp)
        super().__init__(init_cfg)
        if arch not in ARCHS:
            raise ValueError(f'EfficientNet arch={arch!r}: expected one of {ARCHS}')
        if output_stride not in (8, 16, 32):
            raise ValueError(
                f'EfficientNet output_stride={output_stride!r}: expected 8, 16 or 32'
            )
        net = timm.create_model(
            f'efficientnet_{arch}',
            features_only=True,
            out_indices=tuple(out_indices),
            output_stride=output_stride,
            in_chans=in_channels,
            drop_path_rate=drop_path_rate,
        )
        self.net = cast(FeatureListNet, net)  # which features_only gives
        speed_up(self.net)
        if with_cp:
            stages = self.net.get_submodule('blocks').children()
            self.net.blocks = nn.Sequential(
                *(CheckpointedSequential(*stage.children()) for stage in stages)
            )
        self.out_channels: list[int] = self.net.feature_info.channels()
        self.strides: list[int] = self.net.feature_info.reduction()

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps of an image batch.

        Args:
            x: ``(N, C, H, W)``, any H and W.

        Returns:
            For each resolution ``(N, out_channels[i], ceil(H / s), ceil(W / s))`` where
            ``s = strides[i]``.
        """
        # in this memory format all convolutions are faster: benchmarks/README.md
        maps: list[Tensor] = self.net(x.contiguous(memory_format=torch.channels_last))
        return maps

    def init_random(self) -> None:
        """Keep timm's initialisation, which was drawn when the network was built."""

    def map_pretrained(self, state: StateDict) -> StateDict:
        """Drop the classification parts, take timm's names."""
        return {
            name if name.startswith('net.') else f'net.{name}': value
            for name, value in state.items()
            if not name.startswith(UNUSED)
        }
