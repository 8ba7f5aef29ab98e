"""Check the schedule of ``SwitchAuxHook``: what phases may say, and when they begin.

What a phase does stands in ``mmseg_ftu/switched_aux_loss.py``.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from mmseg_ftu.engine.aux_stages import weights_fit
from mmseg_ftu.engine.epoch_numbers import epoch_of, is_epoch

Phase = Mapping[str, Any]
DECAYS = ('linear', 'geometric')
KEYS = ('begin', 'in_index', 'stages', 'loss_weight', 'decay', 'end_weight')


def begin_epochs(schedule: Sequence[Phase], max_epochs: int) -> list[int]:
    """Return the epoch (0-based) in which each phase begins."""
    return [epoch_of(phase['begin'], max_epochs) for phase in schedule]


def check_schedule(schedule: Sequence[Phase]) -> None:
    """Raise ValueError, with the number of the phase, where a schedule is unusable."""
    if not schedule:
        raise ValueError('SwitchAuxHook: the schedule is empty, give it a phase')
    for i, phase in enumerate(schedule):
        problem = _problem(phase)
        if problem:
            raise ValueError(f'SwitchAuxHook: schedule[{i}] {problem}: {dict(phase)}')
    begins = [phase['begin'] for phase in schedule]
    of_one_kind = [[b for b in begins if type(b) is kind] for kind in (int, float)]
    if begins[0] != 0 or any(sorted(set(b)) != b for b in of_one_kind):
        raise ValueError(
            f'SwitchAuxHook: phases begin at {begins}; the first must begin at epoch 0 '
            'and each later one after the one before it'
        )


def check_reached(schedule: Sequence[Phase], max_epochs: int) -> None:
    """Raise ValueError if a run is too short for a phase."""
    begins = begin_epochs(schedule, max_epochs)
    for i, begin in enumerate(begins):
        if begin >= max_epochs:
            raise ValueError(
                f'SwitchAuxHook: schedule[{i}] begins after the last epoch, in epoch '
                f'{begin} (max_epochs={max_epochs}, the first epoch is 0): lower '
                f'schedule[{i}].begin or raise train_cfg.max_epochs'
            )
    for i, (begin, following) in enumerate(pairwise(begins)):
        if begin >= following:
            raise ValueError(
                f'SwitchAuxHook: of {max_epochs} epochs, schedule[{i}] begins in epoch '
                f'{begin} and schedule[{i + 1}] in epoch {following}: raise '
                'train_cfg.max_epochs or set the begins yourself'
            )


def _problem(phase: Phase) -> str | None:
    """Return what is wrong with a phase, to follow its number; None if nothing is."""
    unknown = [key for key in phase if key not in KEYS]
    if unknown or not {'begin', 'in_index'} <= set(phase):
        return f'has the keys {sorted(phase)}, needs begin, in_index; may have {KEYS}'
    if not is_epoch(phase['begin']):
        return (
            f'needs as begin={phase["begin"]!r} the number of an epoch, an integer '
            'from 0 on, or a share of the run, a float between 0 and 1'
        )
    return _stage_problem(phase) or _weight_problem(phase)


def _stage_problem(phase: Phase) -> str | None:
    index, stages = phase['in_index'], phase.get('stages')
    if (index == 'random') != (stages is not None):
        return "needs stages=[...] to draw from with in_index='random', and only then"
    listed = stages if index == 'random' else index
    if listed is None or (type(listed) is int and index != 'random'):
        return None
    if (
        not isinstance(listed, list | tuple)
        or not listed
        or any(type(stage) is not int for stage in listed)
        or len(set(listed)) != len(listed)
    ):
        return (
            f'has in_index={index!r}, stages={stages!r}; in_index is a stage (an '
            "integer), a list of different stages, None (off) or 'random'"
        )
    return None


def _weight_problem(phase: Phase) -> str | None:
    index, decay = phase['in_index'], phase.get('decay')
    weight, end = phase.get('loss_weight'), phase.get('end_weight')
    count = len(index) if isinstance(index, list | tuple) else 1
    for name, given in (('loss_weight', weight), ('end_weight', end)):
        if given is not None and not weights_fit(given, count):
            return (
                f'has {name}={given!r}; it is a number from 0 on, or for a list of '
                'stages a list of as many'
            )
    if decay is None:
        return 'has an end_weight but no decay' if end is not None else None
    if decay not in DECAYS:
        return f'has decay={decay!r}, choose from {DECAYS}'
    if weight is None or index is None:
        return 'has a decay but no loss_weight to begin with, or no stage'
    if decay == 'geometric' and not (_positive(weight) and _positive(end)):
        return 'needs loss_weight and end_weight above 0 for a geometric decay'
    return None


def _positive(given: Any) -> bool:
    numbers = given if isinstance(given, list | tuple) else [given]
    return all(number is not None and number > 0 for number in numbers)
