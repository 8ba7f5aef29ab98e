# ResNet-18 + U-Net, auxiliary loss on one encoder stage.
_base_ = ['./resnet18_unet.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
