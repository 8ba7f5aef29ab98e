"""Train with bfloat16 where the processor computes it faster, CPUs included."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

WHEN = ('auto', 'always', 'never')


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Compute the forward pass and its gradients in bfloat16 (``torch.autocast``).

    mmengine's ``AmpOptimWrapper`` needs an accelerator. bfloat16 has the range of
    float32, so losses need no scaling, and CPUs with AMX (Intel since Sapphire Rapids)
    multiply it faster. Weights, the optimizer's state and the losses stay
    in float32, and so do validation and prediction.

    Args:
        when: ``'auto'`` uses bfloat16 where it is faster (`computes_bf16`), and
            float32 elsewhere; ``'always'`` and ``'never'`` do not ask.
        **kwargs: Arguments of mmengine's ``OptimWrapper``.

    Raises:
        ValueError: Another ``when``.
    """

    def __init__(self, when: str = 'auto', **kwargs: Any) -> None:
        if when not in WHEN:
            raise ValueError(f'Bf16OptimWrapper when={when!r}: expected one of {WHEN}')
        super().__init__(**kwargs)
        self.device_type = get_device().partition(':')[0]
        auto = when == 'auto' and computes_bf16(self.device_type)
        self.enabled = when == 'always' or auto
        name = 'bfloat16' if self.enabled else 'float32'
        text = f'Bf16OptimWrapper: training computes in {name} ({self.device_type})'
        print_log(text, 'current')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast what runs inside, beside what mmengine does for accumulation."""
        with (
            super().optim_context(model),
            torch.autocast(self.device_type, torch.bfloat16, enabled=self.enabled),
        ):
            yield


def computes_bf16(device_type: str) -> bool:
    """Tell whether a device multiplies bfloat16 matrices faster than float32 ones.

    Args:
        device_type: ``'cpu'``, ``'cuda'`` or another of torch's.
    """
    if device_type == 'cpu':
        # what torch's own dispatch asks; get_capabilities() came later
        has_amx = getattr(torch.cpu, '_is_amx_tile_supported', lambda: False)
        return bool(has_amx())
    if device_type == 'cuda':
        return torch.cuda.get_device_capability() >= (8, 0)
    return False
