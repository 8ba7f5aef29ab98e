# EfficientNet-B5 and a U-Net decoder.
# As in all models, block 1 (index 0) is the map at stride 4 (40 channels), block 2
# (index 1) that at stride 8 (64 channels): block = resolution. The map at stride 2
# is not used; backbone.out_indices=[0, 1, 2, 3, 4] adds it, and then indices count from
# it.
_base_ = './binary_encoder_decoder.py'
stage_channels = [40, 64, 176, 512]  # widths at strides 4, 8, 16, 32
model = dict(
    backbone=dict(
        type='EfficientNet',
        arch='b5',
        init_cfg=dict(
            type='Pretrained', checkpoint='timm://efficientnet_b5.sw_in12k_ft_in1k'
        ),
    ),
    decode_head=dict(
        type='UNetHead',
        in_channels=stage_channels,
        # three blocks with a skip (strides 16, 8, 4), two without (2 and 1)
        decoder_channels=[256, 128, 64, 32, 16],
        dropout_ratio=0,
    ),
)
