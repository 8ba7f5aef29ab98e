# The auxiliary loss on the second block, from the weight of aux_loss.py down to 0 at
# the end of the run. Over NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=1, loss_weight=0.2, decay='linear')],
    )
]
