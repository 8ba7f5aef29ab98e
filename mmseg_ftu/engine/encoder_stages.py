"""Which parameters of an encoder belong to which of its stages."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

SHARED = 'shared'


def stage_parameters(
    backbone: nn.Module, maps: Sequence[Tensor]
) -> dict[str, list[nn.Parameter]]:
    """Sort the trained parameters of a backbone by stage.

    Stage k holds what map k depends on and no earlier map does, as the graph that
    computed the maps says: the stem is part of stage 0, a reduction before a stage part
    of that stage. Where scales exchange what they know (the parallel blocks of CoaT)
    each map depends on all, so a backbone may say it itself, by a method
    ``stage_of(name)`` that returns a stage, or None for what several share.

    Args:
        backbone: The encoder.
        maps: What it returned in this iteration, shallow to deep, with its graph.

    Returns:
        Parameters of ``stage_0``, ``stage_1``, ..., and of ``shared`` where there are
        some; those that are frozen or reach no map are left out.
    """
    named = {n: p for n, p in backbone.named_parameters() if p.requires_grad}
    stage_of: Any = getattr(backbone, 'stage_of', None)
    if stage_of is None:
        stages = _by_dependency(named, maps)
    else:
        stages = {name: stage_of(name) for name in named}
    groups: dict[str, list[nn.Parameter]] = {f'stage_{k}': [] for k in range(len(maps))}
    for name, stage in stages.items():
        group = SHARED if stage is None else f'stage_{stage}'
        groups.setdefault(group, []).append(named[name])
    return {group: members for group, members in groups.items() if members}


def _by_dependency(
    named: dict[str, nn.Parameter], maps: Sequence[Tensor]
) -> dict[str, int | None]:
    """Return the first map that depends on each parameter, by its name."""
    stages: dict[str, int | None] = {}
    for k, x in enumerate(maps):
        names = [name for name in named if name not in stages]
        if not names or not x.requires_grad:
            continue
        gradients: Sequence[Tensor | None] = torch.autograd.grad(
            x.sum(),
            [named[name] for name in names],
            retain_graph=True,
            allow_unused=True,
        )
        reached = zip(names, gradients, strict=True)
        stages |= {name: k for name, gradient in reached if gradient is not None}
    return stages
