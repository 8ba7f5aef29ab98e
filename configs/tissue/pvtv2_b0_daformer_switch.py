# PVTv2-B0 + DAFormer decoder, auxiliary loss switched at half of the epochs.
_base_ = ['./pvtv2_b0_daformer_aux.py', '../_base_/arms/switch_1_to_0.py']
