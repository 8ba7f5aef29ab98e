# The auxiliary loss on the second block for half of the run, then none. Over
# NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=1), dict(begin=0.5, in_index=None)],
    )
]
