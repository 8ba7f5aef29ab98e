# ResNet-101 at output stride 16 and a DeepLabv3+ decoder.
# Block 1 (index 0) is layer1 at stride 4, block 2 (index 1) layer2 at stride 8.
_base_ = './binary_encoder_decoder.py'
stage_channels = [256, 512, 1024, 2048]  # widths at strides 4, 8, 16, 16
model = dict(
    backbone=dict(
        type='FTUResNet',
        depth=101,
        output_stride=16,
        init_cfg=dict(type='Pretrained', checkpoint='timm://resnet101.tv_in1k'),
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
