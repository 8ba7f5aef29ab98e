"""Register everything in mmseg; configs name this module in ``custom_imports``.

From then on mmengine reads checkpoints only in ways that run no code from them, also
for what mmseg's and mmengine's own functions load.
"""

from mmseg_ftu.dependencies import check_dependencies, quiet_imports

with quiet_imports():
    check_dependencies()
    from mmseg_ftu import models, switched_aux_loss
    from mmseg_ftu.datasets import (
        at_least_two_batch_sampler,
        hubmap,
        same_shape_batch_sampler,
        seeding,
        transforms,
    )
    from mmseg_ftu.engine import (
        bf16_optim_wrapper,
        check_finite_loss_hook,
        check_fold_hook,
        check_schedule_hook,
        check_weights_hook,
        compile_network_hook,
        gradient_norm_hook,
        keep_gradients_hook,
        keep_preparation_hook,
        restart_optimizer_hook,
        resume,
        sync_saved_buffers_hook,
        visualizer,
    )
    from mmseg_ftu.engine.checkpoint_schemes import refuse_unsafe_checkpoints
    from mmseg_ftu.evaluation import draw_predictions_hook, ftu_dice_metric

refuse_unsafe_checkpoints()

__all__ = [
    'at_least_two_batch_sampler',
    'bf16_optim_wrapper',
    'check_finite_loss_hook',
    'check_fold_hook',
    'check_schedule_hook',
    'check_weights_hook',
    'compile_network_hook',
    'draw_predictions_hook',
    'ftu_dice_metric',
    'gradient_norm_hook',
    'hubmap',
    'keep_gradients_hook',
    'keep_preparation_hook',
    'models',
    'restart_optimizer_hook',
    'resume',
    'same_shape_batch_sampler',
    'seeding',
    'switched_aux_loss',
    'sync_saved_buffers_hook',
    'transforms',
    'visualizer',
]
