"""The layers of networks of timm.

timm says of each model which parameters belong to which layer (``group_matcher``).
Freezing, layer-wise learning rates and activation checkpointing follow that.
"""

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from timm.models import group_parameters
from torch import nn


def layer_numbers(net: Any, model_name: str, coarse: bool) -> dict[str, int]:
    """Return the layer of each parameter; 0 is all that comes before the blocks.

    Args:
        net: Model of timm.
        model_name: How messages call it.
        coarse: Count the stages of a CNN or a pyramid, else the blocks. The layers of
            a plain transformer are its blocks in both cases.

    Raises:
        ValueError: timm does not say it of this model.
    """
    if not hasattr(net, 'group_matcher'):
        raise ValueError(
            f'TimmEncoder {model_name}: timm does not name the layers of this model, '
            'which freeze=<number>, with_cp and a layer-wise learning rate need; '
            "freeze='all' works"
        )
    numbers: dict[str, int] = group_parameters(
        net, net.group_matcher(coarse=coarse), reverse=True
    )
    return numbers


def frozen_names(net: nn.Module, model_name: str, freeze: str | int) -> set[str]:
    """Return the names of the parameters that are not trained.

    Args:
        net: Model of timm.
        model_name: How messages call it.
        freeze: ``'none'``, ``'all'``, or the number of first stages (of a plain
            transformer blocks) that are frozen with all that comes before them.

    Raises:
        ValueError: ``freeze`` is something else, or more than the model has.
    """
    names = [name for name, _ in net.named_parameters()]
    if freeze in ('none', 'all'):
        return set(names if freeze == 'all' else ())
    numbers = layer_numbers(net, model_name, coarse=True)
    count = max(numbers.values())
    if type(freeze) is not int or not 0 <= freeze <= count:
        raise ValueError(
            f"TimmEncoder {model_name}: freeze={freeze!r}: expected 'none', 'all' or a "
            f'number from 0 to {count}'
        )
    return {name for name in names if numbers[name] <= freeze}


def find_blocks(numbers: Mapping[str, int]) -> list[str]:
    """Return the names of the blocks: what the parameters of a layer lie in.

    Args:
        numbers: Layer of each parameter, of `layer_numbers`.
    """
    layers: dict[int, list[str]] = {}
    for name, number in numbers.items():
        # in timm's grouping it belongs to the first block of the next stage
        if number > 0 and 'downsample' not in name:
            layers.setdefault(number, []).append(name)
    prefixes = {_common_module(names) for names in layers.values()} - {''}
    return sorted(
        prefix
        for prefix in prefixes
        if not any(other.startswith(f'{prefix}.') for other in prefixes)
    )


def _common_module(names: list[str]) -> str:
    """Return the innermost module in which all parameters lie."""
    paths = [name.split('.')[:-1] for name in names]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*paths, strict=False))
    return '.'.join(parts[0] for parts in common)
