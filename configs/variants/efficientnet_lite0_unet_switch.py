# EfficientNet-Lite0 + U-Net with the data, the schedule and the switch of the paper.
_base_ = [
    '../_base_/models/unet_lite0.py',
    '../_base_/datasets/hubmap_768x768.py',
    '../_base_/schedules/schedule_120e.py',
    '../_base_/default_runtime.py',
    '../_base_/aux_loss.py',
    '../_base_/switch.py',
]
model = dict(auxiliary_head=dict(in_channels=_base_.stage_channels, **_base_.aux_head))
