"""Log how large the gradient of each loss is in each encoder stage."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce_params
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmseg_ftu.engine.encoder_stages import stage_parameters

AUX = 'aux'  # how mmseg names the losses of auxiliary heads: aux.loss_bce, aux_0. ...


@HOOKS.register_module()
class GradientNormHook(Hook):
    """Log the gradient of the main and of the auxiliary loss, stage by stage.

    The paper says that gradients vanish in early stages, and that the auxiliary loss
    mends it. Every ``interval`` iterations the hook logs for each encoder stage (which
    parameters those are: `stage_parameters`)

    - ``grad_main/stage_0``, ...: L2 norm of the gradient of all losses of the decode
      head;
    - ``grad_aux/stage_0``, ...: that of the auxiliary losses, with their weights; 0
      while they are off, absent in a model without auxiliary head;
    - ``grad_main_ratio/stage_0``, ``grad_aux_ratio/stage_0``, ...: both divided by the
      norm of the weights of the stage.

    They are written as a line of their own into the log, with the epoch and iteration
    in which they were measured, and stand in the message hub without ``train/``: among
    the losses they would be repeated until the next measurement.

    Each is computed in a backward pass of its own through the graph of that iteration,
    before that of the training. Weights, statistics and random numbers of the training
    stay the same to the bit. Gradients are those of the batch over all processes, and a
    value that is not finite (under a gradient scaler) is not logged.

    Runs in ``before_train_iter`` and ``after_train_iter``.

    Args:
        interval: Measure every so many iterations.

    Raises:
        ValueError: If ``interval`` is below 1, or the model has no ``backbone``.
    """

    def __init__(self, interval: int = 50):
        if interval < 1:
            raise ValueError(f'GradientNormHook interval={interval}: give at least 1')
        self.interval = interval
        self.stages: dict[str, list[nn.Parameter]] = {}
        self.watched: RemovableHandle | None = None
        self.measured: dict[str, float] = {}

    def before_train(self, runner: Runner) -> None:
        """Check that the model has an encoder."""
        self.stages = {}
        if not isinstance(getattr(_model(runner), 'backbone', None), nn.Module):
            raise ValueError(
                f'GradientNormHook needs a model with a backbone, '
                f'{type(_model(runner)).__name__} has none: remove the hook'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Watch the losses of this iteration, where they are added up."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        model = _model(runner)
        maps: list[Tensor] = []
        self.watched = model.backbone.register_forward_hook(
            lambda _module, _inputs, output: maps.extend(output)
        )

        def parse_losses(losses: Mapping[str, Any]) -> Any:
            self._stop_watching(model)
            if not self.stages:
                self.stages = stage_parameters(model.backbone, maps)
            maps.clear()
            self._measure(runner, losses)
            return model.parse_losses(losses)

        model.parse_losses = parse_losses

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: object = None,
        outputs: object = None,
    ) -> None:
        """Log what was measured; leave the model as it was, measured or not."""
        self._stop_watching(_model(runner))
        if self.measured:
            log(runner, batch_idx, self.measured)
            self.measured = {}

    def _stop_watching(self, model: Any) -> None:
        if self.watched is not None:
            self.watched.remove()
            self.watched = None
            del model.parse_losses

    def _measure(self, runner: Runner, losses: Mapping[str, Any]) -> None:
        """Compute the norms of the gradients of both kinds of losses."""
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        kinds = {'main': _total(losses, False)}
        if getattr(_model(runner), 'with_auxiliary_head', False):
            kinds['aux'] = _total(losses, True)
        parameters = [p for members in self.stages.values() for p in members]
        for kind, loss in kinds.items():
            gradients = iter(gradients_of(loss, parameters, scaler))
            for stage, members in self.stages.items():
                norm = norm_of([next(gradients) for _ in members])
                ratio = norm / max(norm_of(members), 1e-12)
                if norm < float('inf'):
                    self.measured[f'grad_{kind}/{stage}'] = norm
                    self.measured[f'grad_{kind}_ratio/{stage}'] = ratio


def log(runner: Runner, batch_idx: int, measured: Mapping[str, float]) -> None:
    """Write norms into log, curves and message hub, at this iteration."""
    for name, value in measured.items():
        runner.message_hub.update_scalar(name, value)
    at = dict(epoch=runner.epoch + 1, iter=runner.iter + 1)
    runner.visualizer.add_scalars(
        {**measured, **at}, step=runner.iter + 1, file_path=f'{runner.timestamp}.json'
    )
    words = '  '.join(f'{name}: {value:.4g}' for name, value in measured.items())
    runner.logger.info(f'Gradients [{at["epoch"]}][{batch_idx + 1}]  {words}')


def gradients_of(
    loss: Tensor | None, parameters: Sequence[nn.Parameter], scaler: Any = None
) -> list[Tensor]:
    """Return the gradients of a loss, of the batch over all processes.

    Args:
        loss: A scalar with its graph, which is kept; None is 0.
        parameters: What it is differentiated by.
        scaler: The gradient scaler of the run, which keeps small gradients of float16
            from becoming 0.

    Returns:
        One for each parameter, zeros where the loss does not depend on it.
    """
    found: Sequence[Tensor | None] = [None] * len(parameters)
    if loss is not None and loss.requires_grad and parameters:
        scaled = loss if scaler is None else scaler.scale(loss)
        found = torch.autograd.grad(
            scaled, parameters, retain_graph=True, allow_unused=True
        )
    gradients = [
        torch.zeros_like(p, dtype=torch.float32) if g is None else g.float()
        for p, g in zip(parameters, found, strict=True)
    ]
    if scaler is not None:
        gradients = [g / scaler.get_scale() for g in gradients]
    all_reduce_params(gradients, op='mean')
    return gradients


def norm_of(tensors: Sequence[Tensor]) -> float:
    """Return the L2 norm of all numbers of some tensors."""
    norms = [torch.linalg.vector_norm(t.detach().float()) for t in tensors]
    return float(torch.linalg.vector_norm(torch.stack(norms)))


def _total(losses: Mapping[str, Any], auxiliary: bool) -> Tensor | None:
    """Add up the auxiliary losses or all others, as ``parse_losses`` of mmengine."""
    chosen = [
        value
        for name, values in losses.items()
        if 'loss' in name and name.startswith(AUX) == auxiliary
        for value in (values if isinstance(values, list) else [values])
    ]
    return sum(value.mean() for value in chosen) if chosen else None


def _model(runner: Runner) -> Any:
    model: nn.Module = runner.model
    return model.get_submodule('module') if is_model_wrapper(model) else model
