# EfficientNet-B5 + DeepLabv3+, auxiliary loss switched from one stage to another.
_base_ = ['./enetb5_dlv3plus_aux.py', '../_base_/switch.py']
