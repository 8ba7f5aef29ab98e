# ResNet-18 + U-Net, auxiliary loss on the encoder stages 0 to 3 at once.
_base_ = ['./resnet18_unet_aux.py', '../_base_/arms/all_stages.py']
