# ResNet-18 + U-Net, auxiliary loss switched at half of the epochs.
_base_ = ['./resnet18_unet_aux.py', '../_base_/arms/switch_1_to_0.py']
