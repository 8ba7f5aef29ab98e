"""``torch.compile`` for backbone, neck and head of a segmentor, in place.

Names of weights stay, so that checkpoints fit with and without it. The auxiliary head
is left out: it is small, and each change of its stages would compile it again.
"""

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

CALLED = ('backbone', 'neck')  # mmseg calls them, and the head's `forward` by name


def compile_network(model: BaseModel, device: torch.device | str) -> None:
    """Compile a segmentor's parts when they are next called.

    The first batch then takes minutes. A copy of the model must be made before: a
    deep copy of a compiled head would compute with the weights of the original.

    Args:
        model: A segmentor of mmseg.
        device: Where it computes.

    Raises:
        OSError: If ``torch.compile`` does not work here.
    """
    check_compiler(device)
    for name in CALLED:
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            part.compile()
    heads = model.decode_head
    for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
        head.forward = torch.compile(head.forward)


def check_compiler(device: torch.device | str) -> None:
    """Raise OSError if a small function cannot be compiled."""

    def double_and_add(x: Tensor) -> Tensor:
        return 2 * x + x.sum()

    try:
        torch.compile(double_and_add)(torch.ones(8, device=device))
    except Exception as error:  # of dynamo, inductor, a C++ compiler or Triton
        reason = ' '.join(str(error).split())[:300] or type(error).__name__
        raise OSError(
            f'torch.compile does not work here ({reason}): install a C++ compiler such '
            'as g++, on a GPU also Triton; or go on without --compile'
        ) from error
