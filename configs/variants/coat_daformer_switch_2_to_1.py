# The switch one stage deeper: 0-based 2 (which the authors' public script supervises),
# then 1.
_base_ = ['../ftu/coat_daformer_switch.py']
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=2), dict(begin=60, in_index=1)],
    )
]
