# CoaT + DAFormer decoder, auxiliary loss switched from one stage to another.
_base_ = ['./coat_daformer_aux.py', '../_base_/switch.py']
