"""Activation checkpointing that leaves the statistics of BatchNorm right.

Checkpointing runs a module a second time in the backward pass. timm's and mmseg's own
then updates running means and variances twice a step, so that a network trained with
``with_cp=True`` is another one in evaluation than one trained without.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class CheckpointedSequential(nn.Sequential):
    """A sequence that keeps only the inputs of its modules for the backward pass."""

    def forward(self, x: Tensor) -> Tensor:
        """Run the modules one after the other."""
        for module in self:
            x = run_checkpointed(module, x)
        return x


def stages_to_recompute(with_cp: Any, count: int) -> frozenset[int]:
    """Return the stages whose blocks run a second time in the backward pass.

    Args:
        with_cp: True for all of them, False for none, or a list of their numbers from
            0.
        count: How many stages there are.

    Raises:
        ValueError: It is something else, or a number of no stage.
    """
    if isinstance(with_cp, bool):
        return frozenset(range(count)) if with_cp else frozenset()
    if not isinstance(with_cp, list | tuple) or not all(
        type(stage) is int and 0 <= stage < count for stage in with_cp
    ):
        raise ValueError(
            f'with_cp={with_cp!r}: give True, False, or a list of stages from 0 to '
            f'{count - 1}, such as [0]'
        )
    return frozenset(with_cp)


def require_all_or_none(with_cp: Any) -> None:
    """Refuse stages where a backbone recomputes all of them or none.

    Raises:
        ValueError: ``with_cp`` is neither True nor False.
    """
    if not isinstance(with_cp, bool):
        raise ValueError(
            f'with_cp={with_cp!r}: give True or False; only CoaT, MiT and PVTv2 take '
            'stages'
        )


def run_checkpointed(
    module: nn.Module,
    *args: Any,
    function: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Run a module, and once more in the backward pass, to save memory.

    Args:
        module: Where batch norms are looked for.
        *args: Passed on.
        function: What is run; the module itself if None.
        **kwargs: Passed on.
    """
    function = function or module
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    if any(isinstance(arg, list) for arg in args):  # see with_own_lists
        args, function = tuple(map(own_list, args)), with_own_lists(function)
    if torch.compiler.is_compiling():  # takes no context, and needs none
        return checkpoint(function, *args, use_reentrant=False, **kwargs)
    return checkpoint(
        function,
        *args,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), FrozenStatistics(module)),
        **kwargs,
    )


def with_own_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that may change the lists it is given.

    HRNet's stages replace the maps in their list, and DenseNet's grow after the call.
    A recomputation has to begin with what the list was before.
    """

    def run(*args: Any, **kwargs: Any) -> Any:
        return function(*map(own_list, args), **kwargs)

    return run


def own_list(value: Any) -> Any:
    """Return a copy of a list, and all else as it is."""
    return list(value) if isinstance(value, list) else value


class Recomputed(nn.Module):
    """What `recompute_in_place` adds to the class of a module."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module, and once more in the backward pass."""
        function: Callable[..., Any] = super().forward
        return run_checkpointed(self, *args, function=function, **kwargs)


def recompute_in_place(module: nn.Module) -> None:
    """Let a module of a library save memory; names and weights stay as they are."""
    module_class = type(module)
    if module_class not in _classes:
        name = f'Recomputed{module_class.__name__}'
        _classes[module_class] = type(name, (Recomputed, module_class), {})
    module.__class__ = _classes[module_class]


_classes: dict[type, type] = {}  # one for each class, so that copies have the same


class FrozenStatistics:
    """Context in which BatchNorm normalises as ever, but updates no statistics.

    Statistics cannot be withheld from it: autograd saves them, and a recomputation has
    to save the same number of tensors. So they are updated with momentum 0.
    """

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]

    def __enter__(self) -> None:
        self.kept = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, count) in zip(self.norms, self.kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
