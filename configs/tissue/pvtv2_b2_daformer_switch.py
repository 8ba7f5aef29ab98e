# PVTv2-B2 + DAFormer decoder, auxiliary loss switched at half of the epochs.
_base_ = ['./pvtv2_b2_daformer_aux.py', '../_base_/arms/switch_1_to_0.py']
