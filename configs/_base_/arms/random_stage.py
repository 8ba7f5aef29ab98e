# The two stages of the switch in random order, one in each epoch: as often as in the
# switch (on average), without its direction. Over NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index='random', stages=[0, 1])],
    )
]
