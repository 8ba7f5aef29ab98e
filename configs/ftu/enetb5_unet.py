# EfficientNet-B5 + U-Net, no auxiliary loss (the paper's "normal").
_base_ = [
    '../_base_/models/unet_enetb5.py',
    '../_base_/datasets/hubmap_768x768.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
]
