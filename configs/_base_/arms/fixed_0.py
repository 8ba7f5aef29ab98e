# The auxiliary loss on the first block, where the paper ends. Over NAME_aux.py.
custom_hooks = [dict(type='SwitchAuxHook', schedule=[dict(begin=0, in_index=0)])]
