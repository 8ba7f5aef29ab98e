# ResNet-101 and a U-Net decoder.
# Block 1 (index 0) is layer1 at stride 4, block 2 (index 1) layer2 at stride 8.
_base_ = './binary_encoder_decoder.py'
stage_channels = [256, 512, 1024, 2048]  # widths at strides 4, 8, 16, 32
model = dict(
    backbone=dict(
        type='FTUResNet',
        depth=101,
        init_cfg=dict(type='Pretrained', checkpoint='timm://resnet101.tv_in1k'),
    ),
    decode_head=dict(
        type='UNetHead',
        in_channels=stage_channels,
        # three blocks with a skip (strides 16, 8, 4), two without (2 and 1)
        decoder_channels=[256, 128, 64, 32, 16],
        dropout_ratio=0,
    ),
)
