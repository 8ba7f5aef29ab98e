# Small EfficientNet-Lite0 + U-Net, auxiliary loss on one encoder stage.
_base_ = ['./lite0_unet_small.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
