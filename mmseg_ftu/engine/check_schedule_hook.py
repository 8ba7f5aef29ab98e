"""Let the learning rate of a run that is made longer move, or say why it cannot."""

import logging
from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import _ParamScheduler
from mmengine.runner import Runner
from mmseg.registry import HOOKS

# what changes while a schedule runs; all else is a setting
STATE = {
    *('last_step', '_global_step', '_last_value', 'base_values', 'verbose'),
    *('best', 'num_bad_epochs', 'cooldown_counter', 'optimizer'),
}
NEW_RUN = (
    'begin a new run from its weights (--cfg-options load_from=CHECKPOINT, another '
    '--work-dir, no --resume)'
)


@HOOKS.register_module()
class CheckScheduleHook(Hook):
    """Compare the schedules of a checkpoint with those of the config, when resuming.

    mmengine takes the settings of a schedule from the checkpoint and drops those of the
    config without a word, ``end`` among them, which by default is the length of the
    run: in a run that is made longer (``train_cfg.max_epochs``) the learning rate would
    stand still. Runs in ``after_load_checkpoint``. A new ``end`` is taken over where
    nothing else depends on it, as for ``ReduceOnPlateauLR`` and ``MultiStepLR``.

    Args:
        allow_constant: Accept a longer run whose schedules have all ended.

    Raises:
        ValueError: Another setting differs (a cosine is bent to its length and cannot
            be stretched), or the run is made longer and no schedule acts in the new
            part.
    """

    def __init__(self, allow_constant: bool = False):
        self.allow_constant = allow_constant

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare, and write the new end into the checkpoint's state."""
        if not runner._resume or 'param_schedulers' not in checkpoint:
            return
        now = list(_named(runner.param_schedulers))
        saved = list(_named(checkpoint['param_schedulers']))
        if [name for name, _ in now] != [name for name, _ in saved]:
            raise ValueError(
                f'the run had {len(saved)} schedules in param_scheduler and would go '
                f'on with {len(now)}: give the same, or {NEW_RUN}'
            )
        for (name, scheduler), (_, state) in zip(now, saved, strict=True):
            _take_end(name, scheduler, state)
        longer = _longer(runner, checkpoint)
        if saved and longer and not any(_acts(state) for _, state in saved):
            self._object(longer)

    def _object(self, longer: str) -> None:
        text = f'{longer}, but all its learning-rate schedules have ended'
        if not self.allow_constant:
            raise ValueError(
                f'{text}: {NEW_RUN}, or go on at its last learning rate with '
                '--cfg-options default_hooks.check_schedule.allow_constant=True'
            )
        print_log(f'CheckScheduleHook: {text}', 'current', logging.WARNING)


def _named(schedulers: Any) -> Iterator[tuple[str, Any]]:
    """Yield schedules, or their states, each with its place in the config."""
    if isinstance(schedulers, dict):  # of several optimizers
        for name, inner in schedulers.items():
            yield from ((f'{name}: {place}', item) for place, item in _named(inner))
        return
    for i, scheduler in enumerate(schedulers or ()):
        yield f'param_scheduler.{i}', scheduler


def _take_end(name: str, scheduler: _ParamScheduler, state: dict[str, Any]) -> None:
    """Write the config's end into a state, if that is all that differs."""
    there = vars(scheduler)
    keys = [k for k in there if k not in STATE and not callable(there[k])]
    changed = [k for k in keys if k not in state or state[k] != there[k]]
    if not changed:
        return
    unit = 'epochs' if scheduler.by_epoch else 'iterations'
    text = ', '.join(f'{k}={state.get(k, "none")} -> {there[k]}' for k in changed)
    if changed != ['end']:
        raise ValueError(
            f'{name} ({type(scheduler).__name__}): the run had other settings ({text}; '
            f'{unit}), and mmengine would keep them: give the old ones (train_cfg, '
            'param_scheduler; schedules by iteration also depend on the number of '
            f'images, of processes and the batch size), or {NEW_RUN}'
        )
    state['end'] = scheduler.end
    print_log(f'{name}: {text} {unit}', 'current', logging.INFO)


def _longer(runner: Runner, checkpoint: dict[str, Any]) -> str | None:
    """Say by how much the run was made longer; None if it was not."""
    before = checkpoint.get('message_hub', {}).get('runtime_info', {})
    for name, now in (
        ('max_epochs', runner.max_epochs),
        ('max_iters', runner.max_iters),
    ):
        then = before.get(name, now)
        if now > then:
            return f'the run is made longer ({name}={then} -> {now})'
    return None


def _acts(state: dict[str, Any]) -> bool:
    """Tell whether a schedule does anything after the point where it was saved."""
    return bool(state['_global_step'] + 1 < state['end'])
