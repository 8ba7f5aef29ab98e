# The switch in the direction of the paper's results section: first block, then second.
_base_ = ['../ftu/coat_daformer_switch.py']
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=0), dict(begin=60, in_index=1)],
    )
]
