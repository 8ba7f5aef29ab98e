"""Carry gradients that are being accumulated over the end of a process."""

from typing import Any

from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

KEY = 'accumulated_gradients'


@HOOKS.register_module()
class KeepGradientsHook(Hook):
    """Save gradients that wait for a step, and go on with them.

    With ``optim_wrapper.accumulative_counts`` an epoch may end between two steps of the
    optimizer; mmengine saves the weights alone, and a resumed run has lost what was
    accumulated. Runs in ``before_save_checkpoint`` and, when resuming, in
    ``after_load_checkpoint`` and ``before_train``. In a distributed run each process
    accumulates gradients of its own and the file is written by one of them, so they
    are averaged first (``after_train_epoch``), as the next step would do.
    """

    def __init__(self) -> None:
        self._gradients: dict[str, Any] = {}

    def after_train_epoch(self, runner: Runner) -> None:
        """Average what waits over the processes."""
        if get_world_size() > 1 and is_waiting(runner):
            parameters = _model(runner).parameters()
            waiting = [p.grad for p in parameters if p.grad is not None]
            all_reduce_params(waiting, op='mean')

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Add the gradients that wait, by the name of their parameter."""
        if is_waiting(runner):
            checkpoint[KEY] = {
                name: parameter.grad.cpu()
                for name, parameter in _model(runner).named_parameters()
                if parameter.grad is not None
            }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep them until the weights are in place."""
        self._gradients = checkpoint.get(KEY, {}) if runner._resume else {}

    def before_train(self, runner: Runner) -> None:
        """Put them where the next backward pass adds to them."""
        for name, parameter in _model(runner).named_parameters():
            if name in self._gradients:
                parameter.grad = self._gradients[name].to(parameter)
        if self._gradients:
            runner.logger.info('The gradients accumulated before the stop are restored')
        self._gradients = {}


def is_waiting(runner: Runner) -> bool:
    """Tell whether gradients were accumulated since the last step."""
    wrapper = runner.optim_wrapper
    return not isinstance(wrapper, OptimWrapperDict) and not wrapper.should_update()


def _model(runner: Runner) -> nn.Module:
    model: nn.Module = runner.model
    return model.get_submodule('module') if is_model_wrapper(model) else model
