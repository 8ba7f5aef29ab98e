# CoaT + DAFormer decoder, small, auxiliary loss on one encoder stage.
_base_ = ['./coat_slim_daformer.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
