"""DeepLabv3+ decoder: mmseg's, faster on CPUs, and a lighter one.

Paper: Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic
Image Segmentation", https://arxiv.org/abs/1802.02611. Its dilated depthwise
convolutions are those of `mmseg_ftu.models.ops`. A test shows that for equal weights
the decoder gives what mmseg's gives, and the lighter one what that of
segmentation_models_pytorch gives.
"""

from typing import Any

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmseg.models.decode_heads import DepthwiseSeparableASPPHead
from mmseg.registry import MODELS
from torch import nn

from mmseg_ftu.models.decode_heads.one_channel import require_threshold
from mmseg_ftu.models.ops.convolution import speed_up


@MODELS.register_module()
class DeepLabV3PlusHead(DepthwiseSeparableASPPHead):
    """mmseg's ``DepthwiseSeparableASPPHead``, with the same names of weights.

    Args:
        light: Make the decoder lighter, as segmentation_models_pytorch does. After the
            ASPP come a 1 x 1 and a separable convolution in place of a 3 x 3 one, which
            has nine times the multiplications of the 1 x 1; at stride 4 there is one
            separable convolution in place of two; and no separable convolution has a
            norm between its halves. Names of weights differ.
        **kwargs: Arguments of mmseg's head: ``in_channels``, ``in_index``,
            ``channels``, ``dilations``, ``c1_in_channels``, ``c1_channels`` and those
            of its base. With one output channel ``threshold`` must be given.

    Raises:
        ValueError: One output channel without a threshold, or ``light`` is neither True
            nor False.
    """

    def __init__(self, light: bool = False, **kwargs: Any) -> None:
        require_threshold('DeepLabV3PlusHead', kwargs)
        if not isinstance(light, bool):  # --cfg-options gives "no" as words
            raise ValueError(
                f'DeepLabV3PlusHead light={light!r}: expected True or False'
            )
        super().__init__(**kwargs)
        if light:
            width = self.channels
            fused = width + (kwargs['c1_channels'] if kwargs['c1_in_channels'] else 0)
            for i, dilation in enumerate(self.dilations):
                if dilation > 1:
                    self.aspp_modules[i] = self._separable(self.in_channels, dilation)
            project = ConvModule(
                (len(self.dilations) + 1) * width,
                width,
                1,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
            )
            self.bottleneck = nn.Sequential(project, self._separable(width))
            self.sep_bottleneck = self._separable(fused)
        speed_up(self)
        # as the maps: their gradients need not be turned
        self.to(memory_format=torch.channels_last)

    def _separable(
        self, in_channels: int, dilation: int = 1
    ) -> DepthwiseSeparableConvModule:
        return DepthwiseSeparableConvModule(
            in_channels,
            self.channels,
            3,
            padding=dilation,
            dilation=dilation,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
            dw_norm_cfg=None,
            dw_act_cfg=None,
            bias=False,
        )
