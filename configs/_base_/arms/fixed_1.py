# The auxiliary loss on the second block, where the paper begins. Over NAME_aux.py.
custom_hooks = [dict(type='SwitchAuxHook', schedule=[dict(begin=0, in_index=1)])]
