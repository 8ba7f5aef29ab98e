# PVTv2-B2 (ImageNet weights) + DAFormer decoder for the GPU of a laptop: batches of 4.
_base_ = ['../_base_/models/daformer_pvtv2.py', '../_base_/tissue_recipe_gpu.py']
train_dataloader = dict(batch_size=4)
model = dict(decode_head=dict(loss_decode=_base_.bce_and_dice))
