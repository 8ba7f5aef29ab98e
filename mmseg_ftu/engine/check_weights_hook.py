"""Refuse a checkpoint whose weights are not those of the model."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from mmseg_ftu.engine.safe_checkpoints import weights_of
from mmseg_ftu.io.listing import some_of

NAMED = 3  # names in a message
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
STATISTICS = ('running_mean', 'running_var')


@HOOKS.register_module()
class CheckWeightsHook(Hook):
    """Compare names and shapes of a checkpoint's weights with the model's.

    mmengine loads what fits and leaves the rest as it is. Runs when a checkpoint is
    loaded (``after_load_checkpoint``), before the weights are copied: a test or a
    resumed training needs all of them. For weights to start from (``load_from``) the
    log lists those that do not fit. A test needs weights that are finite, and does
    without those of auxiliary heads, which have no part in it.

    Raises:
        ValueError: Weights are missing, unknown, of another shape or not finite, or
            none of those to start from fits.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint with the model."""
        testing = not isinstance(runner._test_loop, (dict, type(None)))
        name = getattr(runner, '_load_from', None) or 'the checkpoint'
        weights = plain(weights_of(checkpoint, name))
        model = unwrapped(runner.model)
        state = model.state_dict()
        if testing:
            weights, state = without_auxiliary(weights), without_auxiliary(state)
        faults, fitting = match_weights(weights, state)
        if testing and not faults:
            fault = finite_fault(weights, model)
            faults = [fault] if fault else []
        if not faults:
            return
        text = f'{name}: not the weights of this model: {"; ".join(faults)}'
        if testing or runner._resume:
            raise ValueError(f'{text}. Give the config that it was trained with')
        if not fitting:
            raise ValueError(
                f'{text}. Nothing fits: for the weights of a backbone alone set '
                "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...)"
            )
        print_log(f'CheckWeightsHook: {text}', 'current', logging.WARNING)


def match_weights(
    weights: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> tuple[list[str], int]:
    """Say what does not fit, and count what does.

    Args:
        weights: Weights of the checkpoint, by their names in the model.
        expected: Weights of the model, by name.

    Returns:
        The faults, and how many weights fit.
    """
    missing = [name for name in expected if name not in weights]
    unknown = [name for name in weights if name not in expected]
    common = [name for name in expected if name in weights]
    other = [n for n in common if _shape(weights[n]) != _shape(expected[n])]
    kinds = [
        n
        for n in common
        if n not in other
        and (weights[n].dtype in FLOATS) is not (expected[n].dtype in FLOATS)
    ]
    said = (
        (missing, 'are missing'),
        (unknown, 'are unknown'),
        (other, 'have another shape'),
        (kinds, 'are numbers of another kind'),
    )
    faults = [
        f'{len(names)} {what} ({some_of(names, NAMED)})'
        for names, what in said
        if names
    ]
    return faults, len(common) - len(other) - len(kinds)


def plain(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights by their names without the prefix of a parallel wrapper."""
    return {str(name).removeprefix('module.'): w for name, w in weights.items()}


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the model inside wrappers: of processes, of test-time augmentation."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.get_submodule('module')
    return model


def without_auxiliary(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights that prediction uses: without those of auxiliary heads."""
    return {n: w for n, w in weights.items() if not n.startswith('auxiliary_head.')}


def finite_fault(weights: Mapping[str, torch.Tensor], model: nn.Module) -> str | None:
    """Say which weights hold NaN or infinity, None if none does.

    Args:
        weights: What is looked at, by its names in the model.
        model: Its buffers may be infinite by design, but hold no NaN; the statistics of
            batch norm must be finite as parameters must.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    bad = []
    for name, weight in weights.items():
        strict = name in parameters or name.endswith(STATISTICS)
        is_good = torch.isfinite(weight) if strict else ~torch.isnan(weight)
        if not is_good.all():
            bad.append(name)
    return f'{len(bad)} are not finite ({some_of(bad, NAMED)})' if bad else None


def _shape(weight: object) -> tuple[int, ...] | None:
    return tuple(weight.shape) if isinstance(weight, torch.Tensor) else None
