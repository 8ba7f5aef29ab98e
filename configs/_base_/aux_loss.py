# The auxiliary loss: BCE between one encoder stage and the down-sampled mask.
# in_index counts from 0: 1 is the paper's second block, where it begins. It gives
# no weight; 0.2 is that of the authors' public code.
aux_head = dict(type='AuxiliaryHead', in_index=1, loss_weight=0.2, target='nearest')
# The stems of the idle stages get no gradient; distributed training must know.
find_unused_parameters = True
