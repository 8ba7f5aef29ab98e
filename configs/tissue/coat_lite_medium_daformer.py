# CoaT-Lite-Medium (ImageNet weights) + DAFormer decoder for a server's GPU: batches of
# 16. This encoder was the single best model of the competition's second place.
_base_ = ['../_base_/models/daformer_coat.py', '../_base_/tissue_recipe_gpu.py']
stage_channels = [128, 256, 320, 512]
train_dataloader = dict(batch_size=16, num_workers=8)
model = dict(
    backbone=dict(
        arch='lite_medium',
        init_cfg=dict(type='Pretrained', checkpoint='timm://coat_lite_medium.in1k'),
    ),
    decode_head=dict(in_channels=stage_channels, loss_decode=_base_.bce_and_dice),
)
