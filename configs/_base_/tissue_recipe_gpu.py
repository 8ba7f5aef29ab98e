# What the recipes for GPUs share: crops of 512 px, and a pretrained encoder that learns
# at a tenth of the decoder's rate.
_base_ = [
    './datasets/tissue_512x512.py',
    './schedules/schedule_tissue.py',
    './bce_and_dice.py',
    './default_runtime.py',
]
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys=dict(backbone=dict(lr_mult=0.1)),
        bypass_duplicate=True,  # blocks of CoaT share their position encodings
    ),
)
