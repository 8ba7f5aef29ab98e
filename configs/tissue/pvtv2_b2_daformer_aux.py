# PVTv2-B2 + DAFormer decoder, auxiliary loss on one encoder stage.
_base_ = ['./pvtv2_b2_daformer.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
