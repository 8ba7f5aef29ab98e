# PVTv2-B2 and the DAFormer decoder of coat_daformer.py.
# Block 1 (index 0) is the map at stride 4, block 2 (index 1) that at stride 8.
stage_channels = [64, 128, 320, 512]  # widths at strides 4, 8, 16, 32
norm_cfg = dict(type='BN', requires_grad=True)  # several GPUs: sync_bn=torch
model = dict(
    type='BinaryEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size_divisor=1,  # the crops of a batch are of one size, nothing is padded
        pad_val=0,
        seg_pad_val=255,
    ),
    backbone=dict(
        type='PVTv2',
        arch='b2',
        init_cfg=dict(type='Pretrained', checkpoint='timm://pvt_v2_b2.in1k'),
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
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss',
            use_sigmoid=True,
            avg_non_ignore=True,
            loss_name='loss_bce',
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
