"""A transformer's norm and MLP, tokens in portions: less memory, on CPUs more speed.

Linear layers, GELU and layer norm treat each token alone. So a portion of the tokens
can go through all of them while it is in the processor's cache. For the backward pass
only what comes out of the first linear layer is kept; torch keeps three times that and
the normed tokens.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_ftu.models.mirrored_padding import is_traced
from mmseg_ftu.models.ops.depthwise_conv import autocast_dtype
from mmseg_ftu.models.ops.first_derivative_only import first_derivative_only

PORTION = 2048  # tokens


def normed_mlp(x: Tensor, norm: nn.LayerNorm, fc1: nn.Linear, fc2: nn.Linear) -> Tensor:
    """Return ``fc2(gelu(fc1(norm(x))))``; on a CPU hooks of the layers are not called.

    Args:
        x: Tokens, ``(..., C)``.
        norm: Over C channels.
        fc1: From C channels to any number.
        fc2: From that number to C.
    """
    if x.device.type != 'cpu' or is_traced() or torch.compiler.is_compiling():
        out: Tensor = fc2(F.gelu(fc1(norm(x))))
        return out
    dtype = autocast_dtype(x)
    linear = (p.to(dtype) for p in (fc1.weight, fc1.bias, fc2.weight, fc2.bias))
    keep = torch.is_grad_enabled()
    out = _NormedMlp.apply(x, norm.weight, norm.bias, norm.eps, keep, *linear)
    return out


def _portions(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield the next rows of each tensor, views."""
    yield from zip(*(t.split(PORTION) for t in tensors), strict=True)


class _NormedMlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        eps: float,
        keep: bool,
        w1: Tensor,
        b1: Tensor,
        w2: Tensor,
        b2: Tensor,
    ) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        out = tokens.new_empty(tokens.shape, dtype=w1.dtype)
        kept = []
        with torch.autocast('cpu', enabled=False):
            for rows, target in _portions(tokens, out):
                n = F.layer_norm(rows, rows.shape[1:], norm_weight, norm_bias, eps)
                hidden = F.linear(n.to(w1.dtype), w1, b1)
                if keep:
                    kept.append(hidden)
                torch.addmm(b2, F.gelu(hidden), w2.t(), out=target)
        ctx.save_for_backward(x, norm_weight, norm_bias, w1, w2, *kept)
        ctx.eps = eps
        return out.view(x.shape)

    @staticmethod
    @first_derivative_only
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, norm_weight, norm_bias, w1, w2, *kept = ctx.saved_tensors
        tokens = x.reshape(-1, x.shape[-1])
        d_tokens = torch.empty_like(tokens)
        parameters = norm_weight, norm_bias, w1, w1[:, 0], w2, w2[:, 0]
        sums = [_sum_like(p) for p in parameters]
        d_norm_weight, d_norm_bias, d_w1, d_b1, d_w2, d_b2 = sums
        grads = grad.reshape(tokens.shape)
        for hidden, (rows, g, target) in zip(
            kept, _portions(tokens, grads, d_tokens), strict=True
        ):
            n, mean, rstd = torch.native_layer_norm(
                rows, rows.shape[1:], norm_weight, norm_bias, ctx.eps
            )
            n = n.to(w1.dtype)
            _add_product(d_w2, g.t(), F.gelu(hidden))
            d_b2 += g.sum(0, dtype=d_b2.dtype)
            d_hidden = torch.ops.aten.gelu_backward(g @ w2, hidden)
            _add_product(d_w1, d_hidden.t(), n)
            d_b1 += d_hidden.sum(0, dtype=d_b1.dtype)
            d_rows, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
                (d_hidden @ w1).to(x.dtype),
                *(rows, rows.shape[1:], mean, rstd),
                *(norm_weight, norm_bias, [True] * 3),
            )
            target.copy_(d_rows)
            d_norm_weight += d_weight
            d_norm_bias += d_bias
        of_parameters = [s.to(p.dtype) for s, p in zip(sums, parameters, strict=True)]
        of_norm, of_linear = of_parameters[:2], of_parameters[2:]
        return d_tokens.view(x.shape), *of_norm, None, None, *of_linear


def _sum_like(parameter: Tensor) -> Tensor:
    """Return zeros to add gradients to, in float32 at least."""
    dtype = torch.promote_types(parameter.dtype, torch.float32)
    return torch.zeros(parameter.shape, dtype=dtype)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b
