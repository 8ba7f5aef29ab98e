# EfficientNet-Lite0 (ImageNet weights of a Python package, no hub) + U-Net: ten minutes
# on two CPU cores.
_base_ = ['../_base_/models/unet_lite0.py', '../_base_/tissue_recipe.py']
model = dict(decode_head=dict(loss_decode=_base_.bce_and_dice))
optim_wrapper = dict(optimizer=dict(fused=True))  # a step of all weights at once
default_hooks = dict(checkpoint=dict(interval=5))  # a pass over few images is short
