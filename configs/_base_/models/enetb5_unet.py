# EfficientNet-B5 and a U-Net decoder.
# As in all models, block 1 (index 0) is the map at stride 4 (40 channels), block 2
# (index 1) that at stride 8 (64 channels): block = resolution. The map at stride 2
# isn't used; backbone.out_indices=[0, 1, 2, 3, 4] adds it, and then indices count from
# it.
stage_channels = [40, 64, 176, 512]  # widths at strides 4, 8, 16, 32
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
