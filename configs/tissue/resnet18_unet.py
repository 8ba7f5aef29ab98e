# ResNet-18 + U-Net from scratch: ten minutes on two CPU cores. The decoder ends at
# stride 4, for 1.4 times as many steps in the same time as with strides 2 and 1.
_base_ = ['../_base_/models/unet_r101.py', '../_base_/tissue_recipe.py']
stage_channels = [64, 128, 256, 512]
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    decode_head=dict(
        in_channels=stage_channels,
        decoder_channels=[256, 128, 64],
        loss_decode=_base_.bce_and_dice,
    ),
)
# the best of 1e-3, 2e-3 and 4e-3 (docs/results.md); a step of all weights at once
optim_wrapper = dict(optimizer=dict(lr=4e-3, fused=True))
default_hooks = dict(checkpoint=dict(interval=5))  # a pass over few images is short
