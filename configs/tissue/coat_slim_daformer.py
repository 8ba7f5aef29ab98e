# CoaT + DAFormer decoder, small enough for two CPU cores: a slim CoaT-Lite without
# pretrained weights, crops of 256 px, one warm-up and one cosine over few epochs.
_base_ = [
    '../_base_/models/daformer_coat.py',
    '../_base_/datasets/tissue_256x256.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
]
stage_channels = [32, 64, 128, 160]
max_epochs = 40
model = dict(
    backbone=dict(
        _delete_=True,
        type='CoaT',
        arch=dict(embed_dims=stage_channels, serial_depths=[1, 2, 2, 1]),
    ),
    decode_head=dict(
        in_channels=stage_channels, embed_channels=64, channels=64, fusion='conv3x3'
    ),
)
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=2, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-5,
        begin=2,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
