# AdamW, a short warm-up and one cosine to 0, in bfloat16 where that is faster. Every
# recipe says how long: --epochs makes it longer or shorter.
_base_ = './schedule_120e.py'
max_epochs = 60
warm_up = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(type='Bf16OptimWrapper', optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.05,
        begin=0,
        end=warm_up,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min=0,
        begin=warm_up,
        end=max_epochs,
        convert_to_iter_based=True,
    ),
]
