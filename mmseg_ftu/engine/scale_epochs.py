"""Make a recipe longer or shorter: its epoch numbers move in proportion."""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from mmseg_ftu.engine.epoch_numbers import epoch_of

#: Keys of schedulers and hooks that count epochs.
EPOCH_KEYS = (
    *('begin', 'end', 'T_max', 'milestones'),
    *('begin_epoch', 'switch_epoch', 'at'),
)
#: Further keys of schedulers: of StepLR, OneCycleLR and CosineRestartLR.
SCHEDULER_KEYS = ('step_size', 'total_steps', 'periods')


def scale_epochs(cfg: Config, epochs: int) -> None:
    """Give a run another number of epochs and move its schedules with it.

    The learning rate's schedule, the phases of ``SwitchAuxHook``, the point of
    ``RestartOptimizerHook`` and the beginning of averages (``EMAHook``) keep their
    share of the run, as do numbers that are shares already. What ends with the run
    still does, and what lies beyond its end stays. ``val_interval`` stays, too.

    Args:
        cfg: The config of an epoch-based run; written into.
        epochs: The new number of epochs.

    Raises:
        ValueError: The run counts iterations, ``epochs`` is below 1, or so small that
            two phases would begin in one epoch.
    """
    before = cfg.get('train_cfg', {}).get('max_epochs')
    if not before:
        raise ValueError(
            '--epochs: train_cfg has no max_epochs; this run counts iterations, set '
            '--cfg-options train_cfg.max_iters=...'
        )
    if epochs < 1:
        raise ValueError(f'--epochs {epochs}: must be at least 1')
    scale_schedulers(cfg.get('param_scheduler'), before, epochs)
    for entry in entries(cfg.get('custom_hooks')):
        phases = entry.get('schedule') or []
        for item in (entry, *phases):
            move(item, before, epochs)
        begins = [epoch_of(item['begin'], epochs) for item in phases if 'begin' in item]
        if begins != sorted(set(begins)):
            raise ValueError(
                f'--epochs {epochs}: the phases of {entry["type"]} would begin in '
                f'epochs {begins}; take more epochs or set the schedule yourself'
            )
    cfg.train_cfg.max_epochs = epochs


def scale_schedulers(given: Any, before: int, epochs: int) -> None:
    """Move the schedules of a ``param_scheduler`` to another number of epochs.

    Args:
        given: A schedule or a list of them, as in a config; written into.
        before: Number of epochs that they were written for.
        epochs: The new number.

    Raises:
        ValueError: One would begin and end in the same epoch.
    """
    for entry in entries(given):
        if entry.get('by_epoch', True):
            end = min(entry.get('end', before), before)
            whole = entry.get('T_max') == end - entry.get('begin', 0)
            move(entry, before, epochs, (*EPOCH_KEYS, *SCHEDULER_KEYS))
            if whole:  # a cosine over all of its span still is, however it is rounded
                end = min(entry.get('end', epochs), epochs)
                entry['T_max'] = end - entry.get('begin', 0)
            if 'gamma' in entry and entry['type'] == 'ExponentialLR':  # in each epoch
                entry['gamma'] **= before / epochs
            if entry.get('begin', 0) >= entry.get('end', epochs + 1):
                raise ValueError(
                    f'param_scheduler: in {epochs} epochs {entry["type"]} would begin '
                    'and end in one; take more epochs or set param_scheduler yourself'
                )


def entries(given: Any) -> list[dict[str, Any]]:
    """Return the dicts of a list, a dict or None."""
    if not given:
        return []
    return [given] if isinstance(given, dict) else list(given)


def move(
    entry: dict[str, Any], before: int, epochs: int, keys: Sequence[str] = EPOCH_KEYS
) -> None:
    """Replace the epoch numbers of an entry."""
    for key in keys:
        if key in entry:
            entry[key] = scaled(entry[key], before, epochs)


def scaled(value: Any, before: int, epochs: int) -> Any:
    """Return an epoch number in another length of the run; lists item by item."""
    if isinstance(value, (list, tuple)):
        return [scaled(item, before, epochs) for item in value]
    if not isinstance(value, int) or value in (0, -1) or value > before:
        return value
    return max(1, round(value * epochs / before))
