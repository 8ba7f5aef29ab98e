"""CoaT's attention: keys and values are summed up first, positions come by convolution.

Paper: Xu et al., "Co-Scale Conv-Attentional Image Transformers", section 3,
https://arxiv.org/abs/2104.06399. For each head of d channels, with q, k, v of the
tokens:

    out = q (softmax(k)^T v) / sqrt(d) + q * conv(v)

The softmax is over the tokens. The class token takes part in it, but has no position.

What is faster here than these lines in torch (figures: docs/performance.md): query, key
and value stay where their linear layer wrote them; the gradients are written into one
tensor; and of what lies between only the convolution is kept for the backward pass.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_ftu.models.mirrored_padding import is_traced
from mmseg_ftu.models.ops.depthwise_conv import (
    autocast_dtype,
    input_gradient,
    weight_gradient,
)
from mmseg_ftu.models.ops.first_derivative_only import first_derivative_only

Size = tuple[int, int]


def conv_attention(
    qkv: Tensor,
    class_qkv: Tensor,
    size: Size,
    weight: Tensor,
    bias: Tensor,
    num_heads: int,
) -> tuple[Tensor, Tensor]:
    """Attend within an image.

    Args:
        qkv: Queries, keys and values of the tokens, one after the other in the last
            dimension: ``(N, h * w, 3 * C)``.
        class_qkv: Those of the class token, ``(N, 1, 3 * C)``.
        size: ``(h, w)``.
        weight: Kernels of the depthwise convolution of the values, ``(C, 1, s, s)``
            with an odd s.
        bias: ``(C,)``.
        num_heads: Number of heads, which divides C.

    Returns:
        The tokens ``(N, h * w, C)`` and the class token ``(N, 1, C)``.
    """
    if qkv.device.type != 'cpu' or is_traced() or torch.compiler.is_compiling():
        return by_torch(qkv, class_qkv, size, weight, bias, num_heads)
    dtype = autocast_dtype(qkv)
    tensors = (t.to(dtype) for t in (qkv, class_qkv, weight, bias))
    out: tuple[Tensor, Tensor] = _ConvAttention.apply(*tensors, size, num_heads)
    return out


def by_torch(
    qkv: Tensor,
    class_qkv: Tensor,
    size: Size,
    weight: Tensor,
    bias: Tensor,
    num_heads: int,
) -> tuple[Tensor, Tensor]:
    """Do what `conv_attention` does, on any device and in captured graphs."""
    q, k, v = qkv.chunk(3, -1)
    class_q, class_k, class_v = class_qkv.chunk(3, -1)

    def split(x: Tensor) -> Tensor:  # to (N, heads, tokens, d)
        heads: Tensor = x.unflatten(-1, (num_heads, -1))
        return heads.transpose(1, 2)

    def join(x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)

    highest = torch.maximum(k.amax(1, keepdim=True), class_k).detach()
    e, class_e = (k - highest).exp(), (class_k - highest).exp()
    total = e.sum(1, keepdim=True) + class_e
    # divided before the product, which would overflow in float16
    context = split(e / total).transpose(2, 3) @ split(v)
    context = context + split(class_e / total).transpose(2, 3) @ split(class_v)
    context = context * context.shape[-1] ** -0.5
    padding = weight.shape[-1] // 2
    values = v.unflatten(1, size).permute(0, 3, 1, 2)
    placed = F.conv2d(values, weight, bias, padding=padding, groups=len(weight))
    placed = placed.permute(0, 2, 3, 1).flatten(1, 2)
    out = join(split(q) @ context) + q * placed
    return out, join(split(class_q) @ context)


class _Image(NamedTuple):
    """What an image of the batch has, tokens in rows."""

    q: Tensor
    k: Tensor
    v: Tensor
    class_q: Tensor
    class_k: Tensor
    class_v: Tensor


def _images(qkv: Tensor, class_qkv: Tensor) -> Iterator[_Image]:
    for of_tokens, of_class in zip(qkv, class_qkv, strict=True):
        yield _Image(*of_tokens.chunk(3, -1), *of_class.chunk(3, -1))


class _ConvAttention(torch.autograd.Function):
    """One image after the other, so that no product needs its operands copied."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        class_qkv: Tensor,
        weight: Tensor,
        bias: Tensor,
        size: Size,
        num_heads: int,
    ) -> tuple[Tensor, Tensor]:
        number, length, channels = len(qkv), qkv.shape[1], len(weight)
        split = partial(_split, num_heads=num_heads)
        values = _values(qkv, size)
        padding = weight.shape[-1] // 2
        with torch.autocast('cpu', enabled=False):
            placed = F.conv2d(values, weight, bias, padding=padding, groups=channels)
        placed = placed.permute(0, 2, 3, 1).reshape(number, length, channels)
        out = qkv.new_empty(number, length, channels)
        class_out = qkv.new_empty(number, 1, channels)
        kept: list[tuple[Tensor, Tensor]] = []
        with torch.autocast('cpu', enabled=False):
            for n, image in enumerate(_images(qkv, class_qkv)):
                highest = torch.maximum(image.k.amax(0), image.class_k[0])
                e, class_e = (_exp(k, highest) for k in (image.k, image.class_k))
                total = e.sum(0) + class_e[0]
                # divided before the product, which would overflow in float16
                share = split(e.div_(total).to(qkv.dtype))
                class_share = split(class_e.div_(total).to(qkv.dtype))
                context = share.transpose(1, 2) @ split(image.v)
                context += class_share.transpose(1, 2) @ split(image.class_v)
                context *= context.shape[-1] ** -0.5
                torch.mul(image.q, placed[n], out=out[n])
                split(out[n]).baddbmm_(split(image.q), context)
                split(class_out[n]).copy_(split(image.class_q) @ context)
                kept.append((highest + total.log(), context))
        per_image = (torch.stack(tensors) for tensors in zip(*kept, strict=True))
        ctx.save_for_backward(qkv, class_qkv, weight, placed, *per_image)
        ctx.size, ctx.num_heads = size, num_heads
        return out, class_out

    @staticmethod
    @first_derivative_only
    def backward(
        ctx: Any, grad: Tensor, class_grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        qkv, class_qkv, weight, placed, *per_image = ctx.saved_tensors
        channels = len(weight)
        split = partial(_split, num_heads=ctx.num_heads)
        d_qkv, d_class = torch.empty_like(qkv), torch.empty_like(class_qkv)
        d_placed = grad * qkv[..., :channels]
        d_map = d_placed.unflatten(1, ctx.size).permute(0, 3, 1, 2)
        values, padding = _values(qkv, ctx.size), (weight.shape[-1] // 2,) * 2
        rest = d_map, values, weight, (1, 1), padding, (1, 1)
        d_weight, d_bias = weight_gradient(*rest), d_placed.sum((0, 1))
        d_values = input_gradient(*rest).permute(0, 2, 3, 1)
        d_qkv.unflatten(1, ctx.size)[..., 2 * channels :] = d_values
        for n, (image, d) in enumerate(
            zip(_images(qkv, class_qkv), _images(d_qkv, d_class), strict=True)
        ):
            log_total, context = (tensor[n] for tensor in per_image)
            g, class_g = split(grad[n]), split(class_grad[n])
            torch.mul(grad[n], placed[n], out=d.q)
            split(d.q).baddbmm_(g, context.transpose(1, 2))
            split(d.class_q).copy_(class_g @ context.transpose(1, 2))
            d_context = split(image.q).transpose(1, 2) @ g
            d_context += split(image.class_q).transpose(1, 2) @ class_g
            # of the softmax: each share counts against the sum over all
            against = -(d_context * context).sum(2, keepdim=True).transpose(1, 2)
            d_context *= context.shape[-1] ** -0.5
            share, class_share = (
                _exp(k, log_total).to(qkv.dtype) for k in (image.k, image.class_k)
            )
            split(d.v).baddbmm_(split(share), d_context)
            split(d.class_v).copy_(split(class_share) @ d_context)
            across = d_context.transpose(1, 2)
            split(d.k).copy_(against.expand_as(split(d.k)))
            split(d.k).baddbmm_(split(image.v), across)
            d.k.mul_(share)
            d_class_k = against + split(image.class_v) @ across
            split(d.class_k).copy_(d_class_k * split(class_share))
        return d_qkv, d_class, d_weight, d_bias, None, None


def _split(x: Tensor, num_heads: int) -> Tensor:
    """View ``(tokens, C)`` as ``(heads, tokens, d)``."""
    heads: Tensor = x.unflatten(-1, (num_heads, -1))
    return heads.transpose(0, 1)


def _values(qkv: Tensor, size: Size) -> Tensor:
    """Return the values as a map ``(N, C, h, w)`` in channels-last memory."""
    values: Tensor = qkv.chunk(3, -1)[2].unflatten(1, size)
    return values.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _exp(keys: Tensor, offset: Tensor) -> Tensor:
    """Return ``exp(keys - offset)``, in float32 at least."""
    dtype = torch.promote_types(keys.dtype, torch.float32)
    return torch.sub(keys, offset.to(dtype)).exp_()
