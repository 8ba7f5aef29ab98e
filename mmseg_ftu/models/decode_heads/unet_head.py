"""U-Net decoder over the maps of any backbone.

Paper: Ronneberger et al., "U-Net", https://arxiv.org/abs/1505.04597. Blocks as usual
with pretrained encoders: nearest up-sampling, skip by concatenation, two 3 x 3
convolutions with norm. A test shows that for equal weights they give the same as those
of segmentation_models_pytorch, and so does the spread of the first weights of the last
layer. mmseg's own (.01) is too small for a narrow decoder and sparse units: all of its
few channels turn into detectors of background, and no pixel passes a threshold of .5.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from mmseg_ftu.models.decode_heads.one_channel import require_threshold
from mmseg_ftu.models.ops.convolution import speed_up

#: First weights of the last layer: those of segmentation_models_pytorch's head.
INIT = dict(type='Xavier', distribution='uniform', override=dict(name='conv_seg'))


@MODELS.register_module()
class UNetHead(BaseDecodeHead):
    """Decode from the deepest map up, adding the other maps on the way.

    The first ``len(in_channels) - 1`` blocks each take a map as skip and bring the
    result to its size; each further block doubles height and width without a skip.

    Args:
        in_channels: Channels of the maps that are used, shallow to deep.
        in_index: Indices of the levels among the backbone's maps (0-based); default:
            the first ``len(in_channels)``.
        decoder_channels: Channels of each block, deep to shallow.
        norm_cfg: Config of all norms.
        init_cfg: First weights, by default `INIT`.
        **kwargs: Arguments of mmseg's ``BaseDecodeHead`` but ``channels``, which is
            that of the last block. With one output channel ``threshold`` must be given.

    Raises:
        ValueError: Fewer blocks than skips, or one output channel without threshold.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Sequence[int] | None = None,
        decoder_channels: Sequence[int] = (256, 128, 64, 32),
        norm_cfg: dict[str, Any] | None = dict(type='BN'),  # noqa: B006 (never modified)
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = INIT,
        **kwargs: Any,
    ) -> None:
        in_index = list(range(len(in_channels)) if in_index is None else in_index)
        skips = list(in_channels[-2::-1])
        if len(decoder_channels) < max(len(skips), 1):
            raise ValueError(
                f'UNetHead decoder_channels={tuple(decoder_channels)}: '
                f'{len(in_channels)} maps need at least {max(len(skips), 1)} blocks'
            )
        require_threshold('UNetHead', kwargs)
        super().__init__(
            in_channels=list(in_channels),
            in_index=in_index,
            channels=decoder_channels[-1],
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
            **kwargs,
        )
        skips += [0] * (len(decoder_channels) - len(skips))
        widths = [in_channels[-1], *decoder_channels]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                self._conv(width + skip, out_width), self._conv(out_width, out_width)
            )
            for width, skip, out_width in zip(
                widths[:-1], skips, decoder_channels, strict=True
            )
        )
        speed_up(self)
        # as the maps: their casts and gradients need not be turned
        self.to(memory_format=torch.channels_last)

    def _conv(self, in_channels: int, out_channels: int) -> ConvModule:
        return ConvModule(
            in_channels,
            out_channels,
            3,
            padding=1,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the logits at the size of the last block.

        Args:
            inputs: Maps of the backbone, ``(N, C, h, w)`` each.

        Returns:
            ``(N, out_channels, h, w)``; mmseg resizes it.
        """
        *skips, x = self._transform_inputs(inputs)
        for block in self.blocks:
            if skips:
                skip = skips.pop()
                x = F.interpolate(x, skip.shape[2:], mode='nearest')
                x = torch.cat((x, skip), dim=1)
            else:
                x = F.interpolate(x, scale_factor=2, mode='nearest')
            x = block(x)
        logits: Tensor = self.cls_seg(x)
        return logits
