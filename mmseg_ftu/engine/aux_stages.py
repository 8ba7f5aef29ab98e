"""The active stages of an auxiliary head and their weights, in configs and logs."""

import math
from collections.abc import Sequence
from typing import Any

Index = int | Sequence[int] | None  # active stages, 0-based
Weight = float | Sequence[float]  # one for all of them, or one for each


def stages_of(in_index: Index) -> list[int]:
    """Return the active stages as a list."""
    if in_index is None:
        return []
    return list(in_index) if isinstance(in_index, Sequence) else [in_index]


def spread(weight: Weight, count: int) -> list[float]:
    """Return one weight for each of ``count`` stages."""
    if isinstance(weight, Sequence):
        return list(weight)[:count]
    return [weight] * count


def in_words(in_index: Index) -> str:
    """Return the active stages for a log: ``1``, ``0+1+2`` or ``off``."""
    return '+'.join(str(stage) for stage in sorted(stages_of(in_index))) or 'off'


def as_scalar(in_index: Index) -> int:
    """Return the active stages as one number, for curves.

    It is the stage; -1 for none; of several their digits, the deepest first: 210 says
    0, 1 and 2.
    """
    digits = ''.join(str(stage) for stage in sorted(stages_of(in_index), reverse=True))
    return int(digits or -1)


def check_supervision(in_index: Index, loss_weight: Weight, num_stages: int) -> None:
    """Raise ValueError unless a head has the stages, and the weights fit them."""
    stages = stages_of(in_index)
    if (
        any(type(i) is not int or i not in range(num_stages) for i in stages)
        or len(set(stages)) != len(stages)
        or (in_index is not None and not stages)
    ):
        raise ValueError(
            f'in_index={in_index!r}: the auxiliary head has stages 0..{num_stages - 1} '
            '(0-based; the paper counts from 1); give one, a list of several, or None'
        )
    if stages and not weights_fit(loss_weight, len(stages)):
        raise ValueError(
            f'loss_weight={loss_weight!r} does not fit in_index={in_index!r}: give a '
            'number from 0 on, or one for each stage of a list'
        )


def weights_fit(given: Any, count: int) -> bool:
    """Tell whether weights are a number from 0 on, or a list of ``count`` of them."""
    if isinstance(given, list | tuple):
        return len(given) == count and all(
            not isinstance(weight, list | tuple) and weights_fit(weight, 1)
            for weight in given
        )
    return type(given) in (int, float) and 0 <= given < math.inf
