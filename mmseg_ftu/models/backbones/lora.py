"""LoRA: adapt a frozen transformer by low-rank changes of its attention.

Paper: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
https://arxiv.org/abs/2106.09685. A linear layer computes
``x W^T + (alpha / rank) x A^T B^T`` where ``A`` is drawn at random and ``B`` starts at
zero, so that nothing changes at first. In the state dict ``weight`` and ``bias`` keep
their names; beside them stand ``lora_a`` ``(rank, in)`` and ``lora_b`` ``(out, rank)``.

timm's EVA and DINOv3 read ``weight`` of their projections instead of calling them.
So what is read is the sum, too.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PARTS = ('lora_a', 'lora_b')
# What timm calls the layers of an attention before and after the softmax.
PROJECTIONS = ('qkv', 'q', 'k', 'v', 'kv', 'q_proj', 'k_proj', 'v_proj', 'proj')
ATTENTION = 'attn'


class LoRALinear(nn.Linear):
    """A linear layer with a low-rank change; made by `adapt`, undone by `merge_lora`.

    Attributes:
        lora_scale: Factor of the change, ``alpha / rank``.
    """

    lora_a: nn.Parameter
    lora_b: nn.Parameter
    lora_scale: float

    @property
    def frozen(self) -> Tensor:
        """The weights without the change, ``(out, in)``."""
        return cast(Tensor, self._parameters['weight'])

    @property
    def weight(self) -> Tensor:  # type: ignore[override]  # nobody assigns to it
        """The sum of the frozen weights and the change, ``(out, in)``."""
        return self.frozen + self.change()

    def change(self) -> Tensor:
        """Return what is added to the weights, ``(out, in)``."""
        return self.lora_scale * (self.lora_b @ self.lora_a)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., in)`` to ``(..., out)``, without building the sum."""
        unchanged = F.linear(x, self.frozen, self.bias)
        return unchanged + self.lora_scale * F.linear(
            F.linear(x, self.lora_a), self.lora_b
        )


def adapt(net: nn.Module, rank: int, alpha: float) -> int:
    """Add a change to each linear layer of each attention.

    Args:
        net: Its layers are found by timm's names, such as ``blocks.3.attn.qkv``.
        rank: Rank of the changes, from 1.
        alpha: The change is multiplied by ``alpha / rank``.

    Returns:
        Number of layers that have one now.
    """
    layers = [
        module
        for name, module in net.named_modules()
        if type(module) is nn.Linear and _is_projection(name)
    ]
    for layer in layers:
        _adapt_layer(layer, rank, alpha)
    return len(layers)


def _is_projection(name: str) -> bool:
    *_, parent, own = ('', *name.split('.'))
    return own in PROJECTIONS and ATTENTION in parent


def _adapt_layer(layer: nn.Linear, rank: int, alpha: float) -> None:
    # in place, so that names, hooks and whoever holds the layer stay as they are
    a = layer.weight.new_empty(rank, layer.in_features)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5))  # as in the authors' code
    b = layer.weight.new_zeros(layer.out_features, rank)
    adapted = cast(LoRALinear, layer)
    adapted.lora_a, adapted.lora_b = nn.Parameter(a), nn.Parameter(b)
    adapted.lora_scale = alpha / rank
    layer.__class__ = LoRALinear


@torch.no_grad()
def merge_lora(net: nn.Module) -> int:
    """Add the changes to the weights for good and make plain linear layers of them.

    Returns:
        Number of layers that had one.
    """
    layers = [m for m in net.modules() if isinstance(m, LoRALinear)]
    for layer in layers:
        layer.frozen.add_(layer.change())
        del layer.lora_a, layer.lora_b, layer.lora_scale
        cast(nn.Linear, layer).__class__ = nn.Linear
    return len(layers)
