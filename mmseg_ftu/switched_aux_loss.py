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

``AuxiliaryHead`` holds one small stem for each stage; ``in_index`` is the active one.
``SwitchAuxHook`` sets ``in_index`` as a function of the epoch and of nothing else.

Deviations: stages are counted from 0 (the paper counts from 1). The paper's results
section names the reverse direction and gives no weight; the direction here is that of
its method section, the weight 0.2 (set in the config) that of the authors' public code.
Theirs was two runs with a fresh optimizer; here the optimizer runs on.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.model import BaseModule, is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS, MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

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
    """Predict the mask from one encoder stage, at the resolution of that stage.

    For training only; nothing of it runs at inference. Each stage has a stem of its own
    (stages differ in width), and only the active one learns: the others get no
    gradient, so the optimizer leaves them alone. Distributed training must be told,
    hence ``find_unused_parameters = True`` in ``configs/_base_/aux_loss.py``.

    Args:
        in_channels: Width of each encoder stage, shallow to deep.
        in_index: The active stage, 0-based.
        loss_weight: Factor of the auxiliary loss in the total loss.
        target: How the mask is brought to the stage's size, ``nearest`` or ``area``.
        ignore_index: Label of mask pixels that are left out.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_index: int,
        loss_weight: float = 1.0,
        target: str = 'nearest',
        ignore_index: int = 255,
        init_cfg: dict[str, Any] | None = None,
    ):
        super().__init__(init_cfg or dict(type='Normal', std=0.01, layer='Conv2d'))
        if target not in TARGETS:
            raise ValueError(f'target={target!r}: choose from {TARGETS}')
        self.stems = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in in_channels)
        self.in_index = in_index
        self.loss_weight = loss_weight
        self.target = target
        self.ignore_index = ignore_index

    @property
    def in_index(self) -> int:
        """The active encoder stage, 0-based."""
        return self._in_index

    @in_index.setter
    def in_index(self, index: int) -> None:
        check_stage(index, len(self.stems))
        self._in_index = index

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the encoder's maps (N, C_k, H_k, W_k) to logits (N, 1, H_i, W_i)."""
        logits: Tensor = self.stems[self.in_index](inputs[self.in_index])
        return logits

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: list[SegDataSample], *_: Any
    ) -> dict[str, Tensor]:
        """Compare the active stage with the down-sampled mask.

        Args:
            inputs: The encoder's maps, shallow to deep.
            batch_data_samples: Samples with ``gt_sem_seg.data`` of shape (1, H, W).

        Returns:
            ``loss_bce``, a scalar tensor, weighted.
        """
        logits = self.forward(inputs)
        mask = torch.stack([s.gt_sem_seg.data for s in batch_data_samples])
        target, weight = downsample_mask(
            mask, logits.shape[-2:], self.target, self.ignore_index
        )
        return dict(loss_bce=self.loss_weight * weighted_bce(logits, target, weight))


@HOOKS.register_module()
class SwitchAuxHook(Hook):
    """Move the auxiliary loss to another encoder stage in mid-training.

    Runs in ``before_train`` (checks) and ``before_train_epoch`` (sets the stage). The
    stage is a function of the epoch, so a resumed run is in the right phase with
    nothing stored.

    Args:
        schedule: Phases ``dict(begin=epoch, in_index=stage)``, both 0-based, in order;
            the first begins at epoch 0. Each lasts until the next begins.

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

    def __init__(self, schedule: Sequence[dict[str, int]]):
        check_schedule(schedule)
        self.schedule = schedule

    def stage_at(self, epoch: int) -> int:
        """Return the stage that is active in an epoch (0-based)."""
        begun = [p for p in self.schedule if p['begin'] <= epoch]
        return begun[-1]['in_index']

    def before_train(self, runner: Runner) -> None:
        """Refuse a run in which a phase could never come."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'SwitchAuxHook counts epochs, but the training loop is '
                f'{type(runner.train_loop).__name__}: use '
                "train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=...)"
            )
        late = [p for p in self.schedule if p['begin'] >= runner.max_epochs]
        if late:
            raise ValueError(
                f'SwitchAuxHook: {late[0]} begins after the last epoch '
                f'(max_epochs={runner.max_epochs}, the first epoch is 0): lower '
                'schedule[...].begin or raise train_cfg.max_epochs'
            )
        head = find_auxiliary_head(runner.model)
        for phase in self.schedule:
            check_stage(phase['in_index'], len(head.stems))
        check_distributed(runner.model)

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the stage of this epoch and log it."""
        head = find_auxiliary_head(runner.model)
        index = self.stage_at(runner.epoch)
        if index != head.in_index:
            runner.logger.info(
                f'Auxiliary loss switched: encoder stage {head.in_index} -> {index} '
                f'(0-based) at epoch {runner.epoch + 1}'
            )
        head.in_index = index
        runner.message_hub.update_scalar('train/aux_in_index', index)


def check_stage(index: int, num_stages: int) -> None:
    """Raise ValueError unless ``index`` is one of the head's stages."""
    if type(index) is not int or index not in range(num_stages):
        raise ValueError(
            f'in_index={index!r}: the auxiliary head has stages 0..{num_stages - 1} '
            '(0-based; the paper counts from 1)'
        )


def check_schedule(schedule: Sequence[dict[str, int]]) -> None:
    """Raise ValueError unless the phases begin at 0 and follow in order."""
    if not schedule:
        raise ValueError('SwitchAuxHook: the schedule is empty, give it a phase')
    for i, phase in enumerate(schedule):
        if set(phase) != {'begin', 'in_index'}:
            raise ValueError(
                f'SwitchAuxHook: schedule[{i}] has the keys {sorted(phase)}, '
                'expected dict(begin=epoch, in_index=stage)'
            )
        if not all(type(value) is int for value in phase.values()):
            raise ValueError(f'SwitchAuxHook: schedule[{i}] needs integers: {phase}')
    begins = [phase['begin'] for phase in schedule]
    if begins[0] != 0 or sorted(set(begins)) != begins:
        raise ValueError(
            f'SwitchAuxHook: phases begin at {begins}; the first must begin at epoch 0 '
            'and each later one after the one before it'
        )


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
