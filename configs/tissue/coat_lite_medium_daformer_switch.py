# CoaT-Lite-Medium + DAFormer decoder, auxiliary loss switched at half of the epochs.
_base_ = ['./coat_lite_medium_daformer_aux.py', '../_base_/arms/switch_1_to_0.py']
