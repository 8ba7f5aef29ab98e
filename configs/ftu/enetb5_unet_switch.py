# EfficientNet-B5 + U-Net, auxiliary loss switched from one stage to another.
_base_ = ['./enetb5_unet_aux.py', '../_base_/switch.py']
