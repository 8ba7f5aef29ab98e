# No auxiliary loss, but the warm restart that the authors' switched runs had: optimizer
# and learning rate begin anew at half time. Over NAME.py.
custom_hooks = [dict(type='RestartOptimizerHook', at=0.5)]
