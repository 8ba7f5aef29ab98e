"""MiT, the encoder of SegFormer, with one map per stage.

Paper: Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation
with Transformers", https://arxiv.org/abs/2105.15203. For the same weights the maps are
those of mmseg's ``MixVisionTransformer``. The official code's norms after patches and
reductions have eps 1e-5, mmseg's (with which its published weights are used) 1e-6 as
here.

Weights, each named in ``init_cfg.checkpoint``:

* mmseg's: ``https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/segformer/
  mit_b2_20220624-66e8bf70.pth`` (on one line; the other files are in mmseg's configs);
* the official ``mit_b2.pth``, or a whole SegFormer, from which the backbone is taken.
"""

from mmseg.registry import MODELS

from mmseg_ftu.models.backbones.mix_transformer import Arch, MixTransformer

WIDTHS = (64, 128, 320, 512)
HEADS = (1, 2, 5, 8)
RATIOS = (4, 4, 4, 4)
ARCHS = {
    'b0': Arch((32, 64, 160, 256), (2, 2, 2, 2), HEADS, RATIOS),
    'b1': Arch(WIDTHS, (2, 2, 2, 2), HEADS, RATIOS),
    'b2': Arch(WIDTHS, (3, 4, 6, 3), HEADS, RATIOS),
    'b3': Arch(WIDTHS, (3, 4, 18, 3), HEADS, RATIOS),
    'b4': Arch(WIDTHS, (3, 8, 27, 3), HEADS, RATIOS),
    'b5': Arch(WIDTHS, (3, 6, 40, 3), HEADS, RATIOS),
}


@MODELS.register_module()
class MiT(MixTransformer):
    """MiT backbone, ``arch`` ``b0`` to ``b5``; arguments of :class:`MixTransformer`."""

    archs = ARCHS
