# SegFormer's encoder MiT-B2 and the DAFormer decoder of daformer_coat.py.
# Block 1 (index 0) is the map at stride 4, block 2 (index 1) that at stride 8.
_base_ = './binary_encoder_decoder.py'
stage_channels = [64, 128, 320, 512]  # widths at strides 4, 8, 16, 32
model = dict(
    backbone=dict(
        type='MiT',
        arch='b2',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pretrain/'
            'segformer/mit_b2_20220624-66e8bf70.pth',
        ),
    ),
    decode_head=dict(
        type='DAFormerHead',
        in_channels=stage_channels,
        embed='conv',
        embed_channels=320,
        upsample='mix',
        fusion='conv1x1',
        channels=320,
        dropout_ratio=0.1,
    ),
)
