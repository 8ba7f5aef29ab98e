# Small EfficientNet-Lite0 + U-Net, auxiliary loss switched at half of the epochs.
_base_ = ['./lite0_unet_small_aux.py', '../_base_/arms/switch_1_to_0.py']
