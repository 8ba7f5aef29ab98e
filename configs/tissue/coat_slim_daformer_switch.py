# CoaT + DAFormer decoder, small, auxiliary loss switched at half of the epochs.
_base_ = ['./coat_slim_daformer_aux.py', '../_base_/switch.py']
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=1), dict(begin=20, in_index=0)],
    )
]
