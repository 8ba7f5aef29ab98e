# 120 epochs at 5e-5, reduced when the validation loss stands still (arXiv 2308.10994;
# what the paper leaves open is taken from the authors' public code).
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=120, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-5, weight_decay=0.01),
)
param_scheduler = [
    dict(
        type='ReduceOnPlateauLR',
        monitor='val_loss_bce',
        rule='less',
        factor=0.7,
        patience=5,
        threshold=1e-3,
        min_value=1e-6,
        end=10**9,  # never: a run that is made longer goes on as a longer one would
    )
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=True),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='ResumableCheckpointHook', save_best='Dice', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    epoch_seed=dict(type='EpochSeedHook'),
    sync_buffers=dict(type='SyncSavedBuffersHook'),
    keep_gradients=dict(type='KeepGradientsHook'),
    check_finite=dict(type='CheckFiniteLossHook'),
    check_weights=dict(type='CheckWeightsHook'),
    check_fold=dict(type='CheckFoldHook'),
    check_schedule=dict(type='CheckScheduleHook'),
    keep_preparation=dict(type='KeepPreparationHook'),
    visualization=dict(type='DrawPredictionsHook'),
)
