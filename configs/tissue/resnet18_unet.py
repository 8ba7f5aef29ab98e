# ResNet-18 + U-Net from scratch: ten minutes on two CPU cores.
_base_ = ['../_base_/models/unet_r101.py', '../_base_/tissue_recipe.py']
stage_channels = [64, 128, 256, 512]
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    decode_head=dict(in_channels=stage_channels, loss_decode=_base_.bce_and_dice),
)
