"""What ``CheckFiniteLossHook`` notes in training, without waiting for the device."""

from collections.abc import Container, Iterable

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor
from torch.optim import Optimizer


class LossNote:
    """The first losses that are not finite, and their iteration, on the device.

    Args:
        losses: Scalars by name; their names stay the same as long as a note is used.
    """

    def __init__(self, losses: dict[str, Tensor]):
        self.names = tuple(losses)
        self.latest = self.values = torch.stack(list(losses.values()))
        self.first = torch.full((), -1, device=self.latest.device)

    def add(self, losses: dict[str, Tensor], iteration: int) -> None:
        """Look at the losses of an iteration (0-based)."""
        self.latest = torch.stack(list(losses.values()))
        new = (self.first < 0) & ~self.latest.isfinite().all()
        self.first = torch.where(new, iteration, self.first)
        self.values = torch.where(new, self.latest, self.values)

    def forgive(self, skipped: bool | Tensor) -> None:
        """Forget what was noted if the optimizer has skipped its step."""
        if isinstance(skipped, Tensor):
            skipped = skipped.to(self.first.device)
            self.first = torch.where(skipped, -1, self.first)
        elif skipped:
            self.first = torch.full_like(self.first, -1)

    def text(self, latest: bool = False) -> str:
        """Name the losses, those noted or the latest ones."""
        values = (self.latest if latest else self.values).tolist()
        return ', '.join(
            f'{n}={v:.4g}' for n, v in zip(self.names, values, strict=True)
        )


class SkippedSteps:
    """How many steps in a row a gradient scaler has skipped up to now.

    A scaler does not call the optimizer when it skips; a fused optimizer is called with
    ``found_inf``, a flag on the device, and skips by itself.

    Args:
        wrapper: A wrapper of an optimizer with a ``loss_scaler``.
    """

    def __init__(self, wrapper: OptimWrapper):
        self.wrapper = wrapper
        self.in_row: int | Tensor = 0
        self.skipped: bool | Tensor = False
        self._stepped = False
        self._found_inf: Tensor | None = None
        wrapper.optimizer.register_step_post_hook(self._after_step)

    def _after_step(self, optimizer: Optimizer, *_: object) -> None:
        self._stepped = True
        self._found_inf = getattr(optimizer, 'found_inf', None)

    def count(self) -> None:
        """Take an iteration into account, after its step if it had one."""
        self.skipped = False
        if not self.wrapper.should_update():  # gradients are still accumulated
            return
        if self._stepped and self._found_inf is not None:
            self.skipped = self._found_inf.reshape(()) > 0
            self.in_row = torch.where(self.skipped, self.in_row + 1, 0)
        else:
            self.skipped = not self._stepped
            self.in_row = self.in_row + 1 if self.skipped else 0
        self._stepped, self._found_inf = False, None


def scaled_wrappers(wrapper: OptimWrapper | OptimWrapperDict) -> list[OptimWrapper]:
    """Return the wrappers that scale their loss."""
    wrappers = [wrapper]
    if isinstance(wrapper, OptimWrapperDict):
        wrappers = list(wrapper.values())
    return [wrapper for wrapper in wrappers if hasattr(wrapper, 'loss_scaler')]


def not_finite(
    tensors: Iterable[tuple[str, Tensor]], infinite: Container[str] = ()
) -> list[str]:
    """Return the names of the tensors that hold infinite values or NaN.

    Args:
        tensors: Names and tensors; those of integers are passed over.
        infinite: Names that may be infinite.
    """
    kept = [
        (name, tensor)
        for name, tensor in tensors
        if name not in infinite and (tensor.is_floating_point() or tensor.is_complex())
    ]
    if not kept:
        return []
    device = kept[0][1].device
    finite = [tensor.isfinite().all().to(device) for _, tensor in kept]
    finite = torch.stack(finite).tolist()  # waits once for all
    return [name for (name, _), fine in zip(kept, finite, strict=True) if not fine]
