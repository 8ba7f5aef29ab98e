# ResNet-101 + U-Net, auxiliary loss switched from one stage to another.
_base_ = ['./r101_unet_aux.py', '../_base_/switch.py']
