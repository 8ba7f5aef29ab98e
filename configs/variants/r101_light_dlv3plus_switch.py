# The lighter DeepLabv3+ decoder, as in segmentation_models_pytorch.
_base_ = ['../ftu/r101_dlv3plus_switch.py']
model = dict(decode_head=dict(light=True))
