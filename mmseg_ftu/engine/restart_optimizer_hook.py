"""Restart the optimizer and the learning rate in mid-training, as two runs would."""

import copy
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.epoch_numbers import epoch_of, is_epoch, require_epochs
from mmseg_ftu.engine.scale_epochs import entries, scale_schedulers


@HOOKS.register_module()
class RestartOptimizerHook(Hook):
    """Train as two runs do, the second from the weights of the first.

    The authors' switched runs (arXiv 2308.10994, public code) were two runs each, so
    that their gain may be that of a warm restart. This hook is the restart alone: at
    epoch ``at`` the optimizer forgets its state (moments, a gradient scaler), and the
    learning rate begins anew. Each part has the schedules of ``param_scheduler``, as
    long as that part (as ``--epochs`` would make them); those that count iterations
    stay as long as they are. The weights are those of two runs to the bit, where these
    see the same batches. Averages of weights (``EMAHook``) go on.

    Runs in ``before_run`` and ``after_load_checkpoint`` (schedules of the part that the
    run is in, also of a resumed one), ``before_train`` and ``before_train_epoch``.

    Args:
        at: First epoch (0-based) of the second part, or a share of the run, such as
            0.5.

    Raises:
        ValueError: If ``at`` is not within the run, the run counts iterations, has
            several optimizers, is too short for a schedule, or was restarted at another
            epoch before it was resumed.
    """

    priority = 'ABOVE_NORMAL'  # before CheckScheduleHook compares schedules

    def __init__(self, at: float = 0.5):
        if not is_epoch(at) or at == 0:
            raise ValueError(
                f'RestartOptimizerHook at={at!r}: give an epoch, an integer from 1 on, '
                'or a share of the run, a float between 0 and 1'
            )
        self.at = at

    def before_run(self, runner: Runner) -> None:
        """Check the run, and give it the schedules of its first part."""
        if isinstance(runner._train_loop, dict | None):  # a test
            return
        require_epochs(runner, 'RestartOptimizerHook')
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise ValueError('RestartOptimizerHook: the run has several optimizers')
        self.epoch = epoch_of(self.at, runner.max_epochs)
        if self.epoch >= runner.max_epochs:
            raise ValueError(
                f'RestartOptimizerHook at={self.at}: epoch {self.epoch} is after the '
                f'last of {runner.max_epochs} (the first is 0); lower it'
            )
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        self.fresh_scaler = scaler and copy.deepcopy(scaler.state_dict())
        self._build_schedules(runner, self.epoch)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Give a run that is resumed the schedules of the part that it is in."""
        if not runner._resume:
            return
        done = checkpoint['meta']['epoch']
        info = checkpoint.get('message_hub', {}).get('runtime_info', {})
        before = info.get('max_epochs', runner.max_epochs)
        then = epoch_of(self.at, before)
        if then != self.epoch and done > min(then, self.epoch):
            raise ValueError(
                f'RestartOptimizerHook at={self.at}: with max_epochs={before} -> '
                f'{runner.max_epochs} the restart would move from epoch {then} to '
                f'{self.epoch}, but {done} epochs are trained: set at={then}'
            )
        if done > self.epoch:
            self._build_schedules(runner, runner.max_epochs - self.epoch)

    def before_train(self, runner: Runner) -> None:
        """Let gradients be accumulated within a part."""
        self._count_steps(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Restart."""
        if runner.epoch != self.epoch:
            return
        runner.logger.info(
            f'The optimizer and the learning rate restart at epoch {runner.epoch + 1}'
        )
        wrapper = runner.optim_wrapper
        wrapper.optimizer.state.clear()
        if self.fresh_scaler:
            wrapper.loss_scaler.load_state_dict(copy.deepcopy(self.fresh_scaler))
        self._build_schedules(runner, runner.max_epochs - self.epoch)
        self._count_steps(runner)

    def _count_steps(self, runner: Runner) -> None:
        """Tell a wrapper that accumulates gradients where its part begins and ends."""
        length = len(runner.train_dataloader)
        first, last = 0, self.epoch
        if runner.epoch >= self.epoch:
            first, last = self.epoch, runner.max_epochs
        runner.optim_wrapper.initialize_count_status(
            runner.model, runner.iter - first * length, (last - first) * length
        )

    def _build_schedules(self, runner: Runner, epochs: int) -> None:
        """Replace the schedules by those of a run of ``epochs`` epochs at its start."""
        config = copy.deepcopy(runner.cfg.get('param_scheduler'))
        if not config:
            return
        for group in runner.optim_wrapper.param_groups:
            _restore_initial(group)
        try:
            scale_schedulers(config, runner.max_epochs, epochs)
        except ValueError as error:
            raise ValueError(f'RestartOptimizerHook at={self.at}: {error}') from error
        for entry in entries(config):
            by_epoch = entry.get('by_epoch', True)
            length = 1 if by_epoch else len(runner.train_dataloader)
            entry.setdefault('end', epochs * length)
        runner.param_schedulers = runner.build_param_scheduler(config)


def _restore_initial(group: dict[str, Any]) -> None:
    """Undo what schedules did to the settings of a group of parameters."""
    for key in [key for key in group if key.startswith('initial_')]:
        group[key.removeprefix('initial_')] = group[key]
    if 'betas' in group and 'initial_momentum' in group:  # what mmengine schedules
        group['betas'] = (group['initial_momentum'], *group['betas'][1:])
