"""Let all processes validate with the batch-norm statistics that the file will hold."""

from collections.abc import Iterator

from mmengine.dist import all_reduce_params, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn


@HOOKS.register_module()
class SyncSavedBuffersHook(Hook):
    """Average the buffers of a checkpoint over the processes of a distributed run.

    Every process counts the running statistics of batch norm over its own images, so
    without this each validates another model, and the file holds that of process 0.
    Runs after each training epoch (``after_train_epoch``), and before a validation in
    an epoch (``before_val_epoch``): before ``EMAHook`` swaps the weights and before an
    epoch is saved. mmengine's ``SyncBuffersHook`` leaves out the copies of ``EMAHook``,
    which are what is saved then.
    """

    priority = 'ABOVE_NORMAL'  # before EMAHook

    def __init__(self) -> None:
        self._trained = False

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        """Note that the statistics have moved."""
        self._trained = True

    def after_train_epoch(self, runner: Runner) -> None:
        """Average the buffers."""
        self._sync(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Average the buffers, if they have moved since the last time."""
        self._sync(runner)

    def _sync(self, runner: Runner) -> None:
        if self._trained and get_world_size() > 1:
            model = runner.model
            models = [model.module if is_model_wrapper(model) else model]
            models += [h.ema_model.module for h in runner.hooks if _averages(h)]
            buffers = [buffer for model in models for buffer in saved_buffers(model)]
            all_reduce_params(buffers, op='mean')
        self._trained = False


def saved_buffers(model: nn.Module) -> Iterator[Tensor]:
    """Yield the floating-point buffers that a checkpoint of the model holds."""
    saved = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name in saved and buffer.is_floating_point():
            yield buffer


def _averages(hook: Hook) -> bool:
    return isinstance(hook, EMAHook)
