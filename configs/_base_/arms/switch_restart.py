# The authors' two runs: the switch, and a restart of optimizer and learning rate with
# it. Over NAME_aux.py.
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=1), dict(begin=0.5, in_index=0)],
    ),
    dict(type='RestartOptimizerHook', at=0.5),
]
