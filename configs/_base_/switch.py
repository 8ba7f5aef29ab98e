# The switch: second encoder block for 60 epochs, then the first (0-based 1, then 0).
# A shorter run:
#   --cfg-options train_cfg.max_epochs=20 custom_hooks.0.schedule.1.begin=10
custom_hooks = [
    dict(
        type='SwitchAuxHook',
        schedule=[dict(begin=0, in_index=1), dict(begin=60, in_index=0)],
    )
]
