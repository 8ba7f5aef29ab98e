# PVTv2-B0 + DAFormer decoder from scratch: the widths of MiT-B0, and the same decoder.
_base_ = './mit_b0_daformer.py'
model = dict(backbone=dict(type='PVTv2'))
