# EfficientNet-B5 + DeepLabv3+, auxiliary loss on one encoder stage.
_base_ = ['./enetb5_dlv3plus.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
