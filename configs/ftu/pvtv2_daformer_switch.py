# PVTv2-B2 + DAFormer decoder, auxiliary loss switched from one stage to another.
_base_ = ['./pvtv2_daformer_aux.py', '../_base_/switch.py']
