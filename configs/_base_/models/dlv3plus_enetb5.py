# EfficientNet-B5 at output stride 16 and a DeepLabv3+ decoder.
# Block 1 (index 0) is the map at stride 4 (40 channels), block 2 (index 1) that at
# stride 8 (64 channels): block = resolution.
_base_ = './binary_encoder_decoder.py'
stage_channels = [40, 64, 176, 512]  # widths at strides 4, 8, 16, 16
model = dict(
    backbone=dict(
        type='EfficientNet',
        arch='b5',
        output_stride=16,
        init_cfg=dict(
            type='Pretrained', checkpoint='timm://efficientnet_b5.sw_in12k_ft_in1k'
        ),
    ),
    decode_head=dict(
        type='DeepLabV3PlusHead',
        in_channels=stage_channels[-1],
        in_index=3,
        channels=256,
        dilations=(1, 6, 12, 18),  # of the paper at output stride 16
        c1_in_channels=stage_channels[0],
        c1_channels=48,
        dropout_ratio=0.1,
    ),
)
