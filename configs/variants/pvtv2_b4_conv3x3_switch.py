# PVTv2-B4 and 3 x 3 fusion, as in the authors' public code.
_base_ = ['../ftu/pvtv2_daformer_switch.py']
model = dict(
    backbone=dict(
        arch='b4',
        init_cfg=dict(type='Pretrained', checkpoint='timm://pvt_v2_b4.in1k'),
    ),
    decode_head=dict(fusion='conv3x3'),
)
