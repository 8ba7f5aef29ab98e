# The switch in the other direction: first block, then second. Over NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=0), dict(begin=0.5, in_index=1)],
    )
]
