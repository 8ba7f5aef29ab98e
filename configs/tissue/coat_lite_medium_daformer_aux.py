# CoaT-Lite-Medium + DAFormer decoder, auxiliary loss on one encoder stage.
_base_ = ['./coat_lite_medium_daformer.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
