# ResNet-101 + DeepLabv3+, auxiliary loss switched from one stage to another.
_base_ = ['./r101_dlv3plus_aux.py', '../_base_/switch.py']
