# MiT-B0 + DAFormer decoder, auxiliary loss on one encoder stage.
_base_ = ['./mit_b0_daformer.py', '../_base_/aux_loss.py']
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
