"""Stop a training whose loss or weights are no longer finite, and never save them."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, is_main_process
from mmengine.hooks import CheckpointHook, EMAHook, Hook, LoggerHook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmseg_ftu.engine.finite_notes import (
    LossNote,
    SkippedSteps,
    not_finite,
    scaled_wrappers,
)
from mmseg_ftu.io.listing import some_of

NAMED = 4  # weights in a message
ADVICE = (
    'Lower the learning rate (optim_wrapper.optimizer.lr), clip the gradients '
    '(optim_wrapper.clip_grad.max_norm=1), or look at the images of these iterations'
)


class NonFiniteError(FloatingPointError):
    """The training has diverged; the text says where, and what to do."""


@HOOKS.register_module()
class CheckFiniteLossHook(Hook):
    """Stop at the first loss that is not finite; keep such weights out of checkpoints.

    Runs in ``after_train_iter``: a note on the device says which losses were the first
    that are not finite, and in which iteration; nothing waits for it. It is read every
    ``interval`` iterations, at the end of each epoch, before validations and before
    checkpoints, at the latter three together with the weights. All processes read it in
    the same iteration and stop together. In ``before_save_checkpoint`` the state to be
    saved is checked again, weights and moving averages.

    A gradient scaler (AMP) skips a step whose gradients are not finite, and the weights
    stay as they were. That is not an error, unless it happens ``max_skipped`` times in
    a row.

    Args:
        interval: Read the note every so many iterations; None takes the logger's.
        max_skipped: How many steps in a row a gradient scaler may skip. It halves its
            scale each time, so that 30 steps bring the usual 65536 to 0.00006.

    Raises:
        NonFiniteError: A loss or a weight is infinite or NaN, or too many steps were
            skipped.
    """

    priority = 'BELOW_NORMAL'  # after the moving average, before schedule and saving

    def __init__(self, interval: int | None = None, max_skipped: int = 30):
        for name, value in (('interval', interval), ('max_skipped', max_skipped)):
            if value is not None and value < 1:
                raise ValueError(
                    f'CheckFiniteLossHook: {name}={value}, give at least 1'
                )
        self.interval = interval
        self.max_skipped = max_skipped

    def before_train(self, runner: Runner) -> None:
        """Get ready, and note which buffers are infinite by design."""
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self.every = self.interval or (loggers[0].interval if loggers else 10)
        self.notes: list[LossNote] = []
        self.places: dict[int, str] = {}  # by iteration
        self.done: int = runner.iter
        self.skips = [SkippedSteps(w) for w in scaled_wrappers(runner.optim_wrapper)]
        self.by_design = {
            name
            for name, tensor in tensors_of(runner)
            if not isinstance(tensor, nn.Parameter) and tensor.isinf().any()
        }

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Note whether the losses are finite; read the notes when it is time."""
        losses = {
            name: value.detach().float().mean()
            for name, value in (outputs or {}).items()
            if 'loss' in name and isinstance(value, Tensor)
        }
        if losses:
            self._note(runner, losses)
        for skips in self.skips:
            skips.count()
            for note in self.notes:
                note.forgive(skips.skipped)
        self.done = runner.iter + 1
        saved = any(saves_now(hook, runner) for hook in runner.hooks)
        if saved or self.every_n_train_iters(runner, self.every):
            self._check(runner, weights=saved)

    def after_train_epoch(self, runner: Runner) -> None:
        """Read the notes and check the weights before validation and saving."""
        self._check(runner, weights=True)

    def before_val_epoch(self, runner: Runner) -> None:
        """Read and check before a validation too, in a run that counts iterations."""
        if hasattr(self, 'notes') and not counts_epochs(runner):
            self._check(runner, weights=True)

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to save weights or moving averages that are not finite."""
        by_design = getattr(self, 'by_design', ())
        average = checkpoint.get('ema_state_dict', {}).items()
        bad = not_finite(checkpoint['state_dict'].items(), by_design)
        bad += not_finite(((f'ema.{name}', t) for name, t in average), by_design)
        if bad:
            raise NonFiniteError(
                'weights are not finite, and not saved: '
                f'{some_of(bad, NAMED)}. {ADVICE}'
            )

    def _note(self, runner: Runner, losses: dict[str, Tensor]) -> None:
        if not self.notes or self.notes[-1].names != tuple(losses):
            self.notes.append(LossNote(losses))
        self.notes[-1].add(losses, runner.iter)
        now = runner.optim_wrapper.get_lr().items()
        rates = ', '.join(f'{name}={rate[0]:.4g}' for name, rate in now)
        epoch = f'epoch {runner.epoch + 1}, ' if counts_epochs(runner) else ''
        self.places[runner.iter] = f'{epoch}iteration {runner.iter + 1}, {rates}'

    def _check(self, runner: Runner, weights: bool) -> None:
        """Stop all processes if one of them has found something."""
        problem = self._problem(runner, weights)
        found = torch.tensor(int(problem is not None))
        all_reduce(found, 'max')
        if not found:
            return
        problems = [p for p in all_gather_object(problem) if p is not None]
        text = f'{min(problems)[1]}. Nothing of this is saved. {ADVICE}'
        if is_main_process():
            runner.logger.error(text)
        raise NonFiniteError(text)

    def _problem(self, runner: Runner, weights: bool) -> tuple[int, str] | None:
        """Return the iteration and the text of what is wrong in this process."""
        pending = any(not skips.wrapper.should_update() for skips in self.skips)
        for note in [] if pending else self.notes:  # else a step is still to come
            first = int(note.first)
            if first >= 0:
                return first, (
                    f'the loss is not finite: {self.places[first]}, {note.text()}'
                )
        for skips in self.skips:
            if int(skips.in_row) >= self.max_skipped:
                last = self.done - 1
                losses = [note.text(latest=True) for note in self.notes[-1:]]
                return last, (
                    f'{int(skips.in_row)} steps in a row were skipped by the gradient '
                    'scaler, as the gradients were not finite, down to a scale of '
                    f'{skips.wrapper.loss_scaler.get_scale():.3g}: '
                    f'{", ".join([self.places.get(last, ""), *losses])}'
                )
        if not pending:
            self.notes, self.places = self.notes[-1:], {}
        bad = not_finite(tensors_of(runner), self.by_design) if weights else []
        if bad:
            return self.done, (
                f'weights are not finite after iteration {self.done}: '
                f'{some_of(bad, NAMED)}'
            )
        return None


def counts_epochs(runner: Runner) -> bool:
    """Tell whether the training loop counts epochs."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


def saves_now(hook: Hook, runner: Runner) -> bool:
    """Tell whether a hook saves a checkpoint after this iteration."""
    if not isinstance(hook, CheckpointHook) or hook.by_epoch:
        return False
    due = hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
    return bool(due or (hook.save_last and hook.is_last_train_iter(runner)))


def tensors_of(runner: Runner) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers of the model and of its moving average."""
    model: nn.Module = runner.model
    models = {'': model.get_submodule('module') if is_model_wrapper(model) else model}
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            models['ema.module.'] = hook.ema_model.module
    for prefix, module in models.items():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            yield prefix + name, tensor
