# CoaT-Lite-Medium (the single best model of the competition's second place) with the
# official DAFormer head.
_base_ = ['../ftu/coat_daformer_switch.py']
stage_channels = [128, 256, 320, 512]
model = dict(
    backbone=dict(
        arch='lite_medium',
        init_cfg=dict(type='Pretrained', checkpoint='timm://coat_lite_medium.in1k'),
    ),
    decode_head=dict(
        in_channels=stage_channels,
        embed='mlp',
        embed_channels=256,
        upsample='bilinear',
        fusion='sep_aspp',
        channels=256,
    ),
    auxiliary_head=dict(in_channels=stage_channels),
)
