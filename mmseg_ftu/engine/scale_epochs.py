"""Make a recipe longer or shorter: its epoch numbers move in proportion."""

from collections.abc import Callable
from typing import Any

from mmengine.config import Config

#: Keys of schedulers and hooks that count epochs.
EPOCH_KEYS = ('begin', 'end', 'T_max', 'milestones', 'begin_epoch', 'switch_epoch')


def scale_epochs(cfg: Config, epochs: int) -> None:
    """Give a run another number of epochs and move its schedules with it.

    The learning rate's schedule, the phases of ``SwitchAuxHook`` and the beginning of
    averages (``EMAHook``) keep their share of the run. What ends with the run still
    does, and what lies beyond its end stays. ``val_interval`` stays, too.

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

    def scaled(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [scaled(item) for item in value]
        if not isinstance(value, int) or value in (0, -1) or value > before:
            return value
        return max(1, round(value * epochs / before))

    for entry in entries(cfg.get('param_scheduler')):
        if entry.get('by_epoch', True):
            move(entry, scaled)
            if entry.get('begin', 0) >= entry.get('end', epochs + 1):
                raise ValueError(
                    f'--epochs {epochs}: {entry["type"]} would begin and end in one '
                    'epoch; take more epochs or set param_scheduler yourself'
                )
    for entry in entries(cfg.get('custom_hooks')):
        phases = entry.get('schedule') or []
        for item in (entry, *phases):
            move(item, scaled)
        begins = [phase['begin'] for phase in phases if 'begin' in phase]
        if begins != sorted(set(begins)):
            raise ValueError(
                f'--epochs {epochs}: the phases of {entry["type"]} would begin in '
                f'epochs {begins}; take more epochs or set the schedule yourself'
            )
    cfg.train_cfg.max_epochs = epochs


def entries(given: Any) -> list[dict[str, Any]]:
    """Return the dicts of a list, a dict or None."""
    if not given:
        return []
    return [given] if isinstance(given, dict) else list(given)


def move(entry: dict[str, Any], scaled: Callable[[Any], Any]) -> None:
    """Replace the epoch numbers of an entry."""
    for key in EPOCH_KEYS:
        if key in entry:
            entry[key] = scaled(entry[key])
