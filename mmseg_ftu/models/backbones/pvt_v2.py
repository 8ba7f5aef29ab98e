"""PVTv2, the second pyramid vision transformer, with one map per stage.

Paper: Wang et al., "PVTv2: Improved Baselines with Pyramid Vision Transformer",
https://arxiv.org/abs/2106.13797. For the same weights the maps are those of timm's
``pvt_v2_*``. Weights: ``timm://pvt_v2_b2.in1k`` or a file of the official release.
"""

from mmseg.registry import MODELS

from mmseg_ftu.models.backbones.mix_transformer import Arch, MixTransformer

WIDTHS = (64, 128, 320, 512)
HEADS = (1, 2, 5, 8)
RATIOS = (8, 8, 4, 4)
ARCHS = {
    'b0': Arch((32, 64, 160, 256), (2, 2, 2, 2), HEADS, RATIOS),
    'b1': Arch(WIDTHS, (2, 2, 2, 2), HEADS, RATIOS),
    'b2': Arch(WIDTHS, (3, 4, 6, 3), HEADS, RATIOS),
    'b2_li': Arch(WIDTHS, (3, 4, 6, 3), HEADS, RATIOS),
    'b3': Arch(WIDTHS, (3, 4, 18, 3), HEADS, RATIOS),
    'b4': Arch(WIDTHS, (3, 8, 27, 3), HEADS, RATIOS),
    'b5': Arch(WIDTHS, (3, 6, 40, 3), HEADS, (4, 4, 4, 4)),
}


@MODELS.register_module()
class PVTv2(MixTransformer):
    """PVTv2 backbone, ``arch`` ``b0`` to ``b5`` and ``b2_li`` (linear attention).

    Arguments are those of :class:`MixTransformer`.
    """

    archs = ARCHS
    linear_archs = ('b2_li',)
    embed_eps = reduction_eps = 1e-5
