# The paper's switch at half time: second block, then first. Over NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=1), dict(begin=0.5, in_index=0)],
    )
]
