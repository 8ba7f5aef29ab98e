# Auxiliary loss on all stages at once (deep supervision). The weight of the one stage,
# 0.2, is divided among the five.
_base_ = ['../ftu/coat_daformer.py', '../_base_/aux_loss.py']
num_stages = 5
aux_head = dict(
    type='AuxiliaryHead',
    in_channels=_base_.stage_channels,
    loss_weight=0.2 / num_stages,
)
model = dict(auxiliary_head=[dict(aux_head, in_index=i) for i in range(num_stages)])
