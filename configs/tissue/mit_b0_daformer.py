# MiT-B0 + DAFormer decoder from scratch.
_base_ = ['../_base_/models/daformer_mit.py', '../_base_/tissue_recipe.py']
stage_channels = [32, 64, 160, 256]
model = dict(
    backbone=dict(arch='b0', init_cfg=None),
    decode_head=dict(
        in_channels=stage_channels,
        embed_channels=64,
        channels=64,
        fusion='conv3x3',
        loss_decode=_base_.bce_and_dice,
    ),
)
