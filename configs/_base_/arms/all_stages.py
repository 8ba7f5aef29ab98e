# The auxiliary loss on the four stages at strides 4 to 32 at once, weights 1/2^i as in
# nnU-Net; they add up to the weight of one stage in aux_loss.py. Over NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[
            dict(
                begin=0,
                in_index=[0, 1, 2, 3],
                loss_weight=[0.2 * share / 15 for share in (8, 4, 2, 1)],
            )
        ],
    )
]
