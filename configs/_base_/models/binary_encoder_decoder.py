# What all models share: the input's normalisation, one output channel, its loss.
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
    decode_head=dict(
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
