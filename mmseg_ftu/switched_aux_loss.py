"""The switched auxiliary loss, the idea of the paper, in one file.

Barve & Hussain, "A switched auxiliary loss for robust training of transformer models
for histopathological image segmentation", https://arxiv.org/abs/2308.10994, section
"Method": while the decoder learns the mask, an auxiliary head predicts the same mask
straight from one stage of the encoder, at the resolution of that stage. In mid-training
the auxiliary head moves on to another stage (second stage for 60 epochs, then first)::

    image -> stage 0 -> stage 1 -> stage 2 -> stage 3 -> decoder -> BCE(mask)
                |          |                                         +
                |        stem 1 -> 0.2 BCE(mask at stage 1's size)   epochs 0..59
              stem 0 ------------> 0.2 BCE(mask at stage 0's size)   epochs 60..119

``AuxiliaryHead`` holds one small stem for each stage; ``in_index`` is the active one, a
list of several, or None. ``SwitchAuxHook`` sets it and the weight of the loss, as a
function of the epoch (and the seed) and of nothing else. So what the idea has to be
compared with is a schedule, too: the reverse, all stages, a weight that decays, ...

Deviations: stages are counted from 0 (the paper counts from 1). The paper's results
section names the reverse direction and gives no weight; the direction here is that of
its method section, the weight 0.2 (set in the config) that of the authors' public code.
Theirs was two runs with a fresh optimizer; here the optimizer runs on.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import broadcast_object_list
from mmengine.hooks import Hook
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmseg_ftu.engine.aux_schedule import (
    Phase,
    begin_epochs,
    check_reached,
    check_schedule,
)
from mmseg_ftu.engine.aux_stages import (
    Index,
    Weight,
    as_scalar,
    check_supervision,
    in_words,
    spread,
    stages_of,
)
from mmseg_ftu.engine.epoch_numbers import require_epochs

TARGETS = ('nearest', 'area')


def downsample_mask(
    mask: Tensor, size: Sequence[int], target: str = 'nearest', ignore_index: int = 255
) -> tuple[Tensor, Tensor]:
    """Bring a mask to the resolution of an encoder stage.

    Args:
        mask: Labels 0, 1 or ``ignore_index``, integers of shape (N, 1, H, W).
        size: Height and width of the stage.
        target: ``nearest`` picks one pixel for each cell, as the paper does; ``area``
            gives the share of foreground among the cell's pixels that are not ignored.
        ignore_index: Label of pixels that count neither as foreground nor background.

    Returns:
        Foreground probability in 0..1 and weight in 0..1 (0 where the cell is ignored),
        both float of shape (N, 1, *size).
    """
    weight = (mask != ignore_index).float()
    foreground = (mask == 1).float()
    weight, foreground = (
        F.interpolate(x, tuple(size), mode=target) for x in (weight, foreground)
    )
    if target == 'area':
        foreground = foreground / weight.clamp(min=torch.finfo(weight.dtype).tiny)
    return foreground, weight


def weighted_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Average the binary cross entropy over the weighted pixels (0 where none has any).

    Computed in float32, also under automatic mixed precision.
    """
    loss = F.binary_cross_entropy_with_logits(
        logits.float(), target, weight=weight, reduction='sum'
    )
    return loss / weight.sum().clamp(min=1.0)


@MODELS.register_module()
class AuxiliaryHead(BaseModule):
    """Predict the mask from encoder stages, at the resolution of each.

    For training only; nothing of it runs at inference. Each stage has a stem of its own
    (stages differ in width), and only the active ones learn: the others get no
    gradient, so the optimizer leaves them alone. Distributed training must be told,
    hence ``find_unused_parameters = True`` in ``configs/_base_/aux_loss.py``.

    Args:
        in_channels: Width of each encoder stage, shallow to deep.
        in_index: The active stage, 0-based, a list of several, or None: off.
        loss_weight: Factor of the auxiliary loss in the total loss. With several
            stages their losses are added up, and each may have a factor of its own.
        target: How the mask is brought to the stage's size, ``nearest`` or ``area``.
        ignore_index: Label of mask pixels that are left out.
        init_cfg: mmengine's initialisation config.

    Raises:
        ValueError: If a stage is not there, or the weights do not fit the stages.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: Index,
        loss_weight: Weight = 1.0,
        target: str = 'nearest',
        ignore_index: int = 255,
        init_cfg: dict[str, Any] | None = None,
    ):
        super().__init__(init_cfg or dict(type='Normal', std=0.01, layer='Conv2d'))
        if target not in TARGETS:
            raise ValueError(f'target={target!r}: choose from {TARGETS}')
        with torch.random.fork_rng([]):  # the weights of all else are as without it
            self.stems = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in in_channels)
        self.supervise(in_index, loss_weight)
        self.target = target
        self.ignore_index = ignore_index

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, leaving torch's random numbers in place."""
        with torch.random.fork_rng([]):
            super().init_weights()

    def supervise(self, in_index: Index, loss_weight: Weight) -> None:
        """Choose the active stages and the weights of their losses."""
        check_supervision(in_index, loss_weight, len(self.stems))
        stages = stages_of(in_index)
        self._in_index, self._loss_weight = in_index, loss_weight
        self.weights = dict(zip(stages, spread(loss_weight, len(stages)), strict=True))

    @property
    def in_index(self) -> Index:
        """The active encoder stages, 0-based."""
        return self._in_index

    @in_index.setter
    def in_index(self, index: Index) -> None:
        self.supervise(index, self._loss_weight)

    @property
    def loss_weight(self) -> Weight:
        """The factors of the loss in the total loss."""
        return self._loss_weight

    @loss_weight.setter
    def loss_weight(self, weight: Weight) -> None:
        self.supervise(self._in_index, weight)

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Map the encoder's maps (N, C_k, H_k, W_k) to logits of the active stages.

        Returns:
            Logits (N, 1, H_i, W_i) of each, in the order of ``in_index``.
        """
        return [self.stems[stage](inputs[stage]) for stage in self.weights]

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: list[SegDataSample], *_: Any
    ) -> dict[str, Tensor]:
        """Compare the active stages with the down-sampled mask.

        Args:
            inputs: The encoder's maps, shallow to deep.
            batch_data_samples: Samples with ``gt_sem_seg.data`` of shape (1, H, W).

        Returns:
            ``loss_bce``, a scalar tensor, weighted and added up over the active stages;
            nothing where the loss is off.
        """
        if not self.weights:
            return {}
        mask = torch.stack([s.gt_sem_seg.data for s in batch_data_samples])
        losses = []
        for logits, factor in zip(self(inputs), self.weights.values(), strict=True):
            target, weight = downsample_mask(
                mask, logits.shape[-2:], self.target, self.ignore_index
            )
            losses.append(factor * weighted_bce(logits, target, weight))
        return dict(loss_bce=torch.stack(losses).sum())


@HOOKS.register_module()
class SwitchAuxHook(Hook):
    """Move the auxiliary loss to other encoder stages in mid-training.

    Runs in ``before_train`` (checks) and ``before_train_epoch`` (sets stages and
    weight). Both are a function of the epoch, so a resumed run is in the right phase
    with nothing stored. Logs ``aux_in_index`` (see `as_scalar`) and ``aux_weight``, the
    sum over the active stages.

    Args:
        schedule: Phases in order, each until the next begins, dicts with

            - ``begin``: first epoch, 0-based, or a share of the run (0.5 is half-way);
              the first phase begins at 0;
            - ``in_index``: a stage, 0-based, a list of several, None (off), or
              ``'random'``: one of ``stages=[...]`` in each epoch, drawn by seed and
              epoch;
            - ``loss_weight`` (optional): a number, or one for each stage of a list; by
              default that of the head;
            - ``decay`` (optional): ``'linear'`` or ``'geometric'``, from
              ``loss_weight`` in the first epoch to ``end_weight`` where the phase ends
              (default 0; a geometric decay needs one).

    Raises:
        ValueError: If the schedule is unusable, or (before the first step) if the run
            cannot follow it.

    Example:
        >>> custom_hooks = [
        ...     dict(
        ...         type='SwitchAuxHook',
        ...         schedule=[dict(begin=0, in_index=1), dict(begin=60, in_index=0)],
        ...     )
        ... ]
    """

    def __init__(self, schedule: Sequence[Phase]):
        check_schedule(schedule)
        self.schedule = schedule

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with a run whose past epochs had another supervision."""
        info = checkpoint.get('message_hub', {}).get('runtime_info', {})
        before, now = info.get('max_epochs', runner.max_epochs), runner.max_epochs
        past = range(checkpoint['meta']['epoch']) if runner._resume else ()
        for epoch in past:
            then, new = (
                supervision_at(epoch, self.schedule, length) for length in (before, now)
            )
            if then != new:
                raise ValueError(
                    f'SwitchAuxHook: with max_epochs={before} -> {now} the schedule '
                    f'would have been another in epoch {epoch}: {then} -> {new}. Give '
                    'begin in epochs, or begin a new run'
                )

    def before_train(self, runner: Runner) -> None:
        """Refuse a run in which a phase could never come."""
        require_epochs(runner, 'SwitchAuxHook')
        check_reached(self.schedule, runner.max_epochs)
        head = find_auxiliary_head(runner.model)
        self.default = head.in_index, head.loss_weight
        check_phases(self.schedule, head)
        check_distributed(runner.model)
        seed = [runner.seed]
        broadcast_object_list(seed)  # it may differ between processes
        self.seed: int = seed[0]

    def before_train_epoch(self, runner: Runner) -> None:
        """Set stages and weight of this epoch and log them."""
        head = find_auxiliary_head(runner.model)
        index, weight = supervision_at(
            runner.epoch, self.schedule, runner.max_epochs, self.seed, self.default[1]
        )
        if index != head.in_index:
            runner.logger.info(
                f'Auxiliary loss switched: encoder stage {in_words(head.in_index)} -> '
                f'{in_words(index)} (0-based) at epoch {runner.epoch + 1}'
            )
        head.supervise(index, weight)
        hub = runner.message_hub
        hub.update_scalar('train/aux_in_index', as_scalar(index))
        hub.update_scalar('train/aux_weight', sum(head.weights.values()))
        if not head.weights:  # else the log would repeat the last loss
            losses = ('train/aux.', 'train/aux_0.')
            for name in [n for n in hub.log_scalars if n.startswith(losses)]:
                del hub.log_scalars[name]


def check_phases(schedule: Sequence[Phase], head: AuxiliaryHead) -> None:
    """Raise ValueError where a head has no stage or no weight for a phase."""
    default = head.in_index, head.loss_weight
    for i, phase in enumerate(schedule):
        index = phase['in_index']
        for stages in phase['stages'] if index == 'random' else [index]:
            try:
                head.supervise(stages, phase.get('loss_weight', default[1]))
            except ValueError as error:
                raise ValueError(f'SwitchAuxHook: schedule[{i}]: {error}') from None
    head.supervise(*default)


def supervision_at(
    epoch: int,
    schedule: Sequence[Phase],
    max_epochs: int,
    seed: int = 0,
    default_weight: Weight = 1.0,
) -> tuple[Index, Weight]:
    """Return the active stages and the weight of an epoch (0-based).

    Args:
        epoch: Epoch, 0-based.
        schedule: Phases of ``SwitchAuxHook``.
        max_epochs: Number of epochs of the run.
        seed: Seed of the run, for random stages.
        default_weight: Weight in phases that do not say one.
    """
    begins = begin_epochs(schedule, max_epochs)
    number = bisect_right(begins, epoch) - 1
    phase, begin = schedule[number], begins[number]
    end = begins[number + 1] if number + 1 < len(begins) else max_epochs
    index = phase['in_index']
    if index == 'random':
        word = np.random.SeedSequence(seed, spawn_key=(epoch,)).generate_state(1)[0]
        index = phase['stages'][int(word) % len(phase['stages'])]
    weight = phase.get('loss_weight', default_weight)
    if phase.get('decay'):
        count, share = len(stages_of(index)), (epoch - begin) / (end - begin)
        ends = spread(phase.get('end_weight', 0.0), count)
        weight = [
            decayed(first, last, phase['decay'], share)
            for first, last in zip(spread(weight, count), ends, strict=True)
        ]
    return index, weight


def decayed(start: float, end: float, decay: str, share: float) -> float:
    """Return a weight after a share (0..1) of a ``linear`` or ``geometric`` decay."""
    if decay == 'linear':
        return start + (end - start) * share
    return start * math.pow(end / start, share)


def find_auxiliary_head(model: nn.Module) -> AuxiliaryHead:
    """Return the one auxiliary head of a (wrapped) model, else raise ValueError."""
    model = model.get_submodule('module') if is_model_wrapper(model) else model
    heads = [m for m in model.modules() if isinstance(m, AuxiliaryHead)]
    if len(heads) != 1:
        raise ValueError(
            f'SwitchAuxHook needs a model with one AuxiliaryHead, '
            f'{type(model).__name__} has {len(heads)}: set model.auxiliary_head to '
            "one dict(type='AuxiliaryHead', ...), see configs/_base_/aux_loss.py"
        )
    return heads[0]


def check_distributed(model: nn.Module) -> None:
    """Raise ValueError where DistributedDataParallel would wait for idle stems."""
    if isinstance(model, DistributedDataParallel) and not model.find_unused_parameters:
        raise ValueError(
            'the idle stems of the AuxiliaryHead get no gradient, which '
            'DistributedDataParallel takes for an error: set '
            'find_unused_parameters=True in the config'
        )
