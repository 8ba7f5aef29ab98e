import math

import pytest
import torch

from mmseg_ftu.models.ops.conv_attention import by_torch, conv_attention

HEADS = 2


def tensors(number=2, size=(5, 7), channels=8, kernel=7, dtype=torch.float64, spread=1):
    torch.manual_seed(0)
    length = size[0] * size[1]
    shapes = [
        (number, length, 3 * channels),
        (number, 1, 3 * channels),
        (channels, 1, kernel, kernel),
        (channels,),
    ]
    return [spread * torch.randn(shape, dtype=dtype) for shape in shapes], size


def results(function, given, size):
    """Return both outputs and the gradients of all four inputs."""
    given = [t.clone().requires_grad_() for t in given]
    out = function(*given[:2], size, *given[2:], HEADS)
    generator = torch.Generator().manual_seed(1)
    grads = [torch.randn(o.shape, generator=generator).to(o.dtype) for o in out]
    torch.autograd.backward(out, grads)
    return [*(o.detach() for o in out), *(t.grad for t in given)]


def literally(qkv, class_qkv, size, weight, bias, heads):
    """Loop over images, heads and positions, as the paper's formula reads."""
    number, length, channels = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    d, reach = channels // heads, weight.shape[-1] // 2
    out = torch.zeros(number, length + 1, channels, dtype=qkv.dtype)
    for n in range(number):
        rows = torch.cat((class_qkv[n], qkv[n]))
        for head in range(heads):
            q, k, v = (
                rows[:, part * channels + head * d :][:, :d] for part in range(3)
            )
            share = k.exp() / k.exp().sum(0)
            out[n, :, head * d : (head + 1) * d] = q @ (share.T @ v) / math.sqrt(d)
        q, v = rows[1:, :channels], rows[1:, 2 * channels :]
        for y in range(size[0]):
            for x in range(size[1]):
                total = bias.clone()
                for dy in range(-reach, reach + 1):
                    for dx in range(-reach, reach + 1):
                        if 0 <= y + dy < size[0] and 0 <= x + dx < size[1]:
                            value = v[(y + dy) * size[1] + x + dx]
                            total += weight[:, 0, reach + dy, reach + dx] * value
                here = y * size[1] + x
                out[n, 1 + here] += q[here] * total
    return out[:, 1:], out[:, :1]


@pytest.mark.parametrize('function', [conv_attention, by_torch])
def test_equals_the_papers_formula(function):
    given, size = tensors(size=(3, 4), kernel=3)
    for a, b in zip(
        function(*given[:2], size, *given[2:], HEADS),
        literally(*given[:2], size, *given[2:], HEADS),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('kernel', [1, 3, 7])
@pytest.mark.parametrize('size', [(1, 1), (2, 9), (16, 16)])
@pytest.mark.parametrize('number', [1, 3])
def test_gradients_equal_autograds(number, size, kernel):
    given, size = tensors(number, size, kernel=kernel)
    for a, b in zip(
        results(conv_attention, given, size),
        results(by_torch, given, size),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_large_keys_do_not_overflow():
    given, size = tensors(spread=300, dtype=torch.float32)
    exact = results(by_torch, [t.double() for t in given], size)
    for a, b in zip(results(conv_attention, given, size), exact, strict=True):
        assert a.isfinite().all()
        assert (a - b).abs().max() <= 1e-4 * b.abs().max()


@pytest.mark.parametrize('function', [conv_attention, by_torch])
def test_float16_does_not_overflow_over_many_tokens(function):
    size = 192, 192
    qkv = torch.zeros(1, size[0] * size[1], 24)
    qkv[..., :8], qkv[..., 16:] = 0.1, 2.0
    class_qkv = qkv[:, :1].clone()
    weight, bias = torch.zeros(8, 1, 3, 3), torch.zeros(8)
    exact, _ = by_torch(qkv, class_qkv, size, weight, bias, HEADS)
    with torch.autocast('cpu', torch.float16):
        out, _ = function(qkv, class_qkv, size, weight, bias, HEADS)
    torch.testing.assert_close(out.float(), exact, rtol=0.02, atol=0.01)


def test_bfloat16_is_as_exact_as_torchs():
    given, size = tensors(size=(16, 24), channels=32, dtype=torch.bfloat16)
    exact = results(by_torch, [t.double() for t in given], size)
    ours = results(conv_attention, given, size)
    theirs = results(by_torch, given, size)
    for a, b, truth in zip(ours, theirs, exact, strict=True):
        assert a.dtype == torch.bfloat16
        error, allowed = ((t.double() - truth).norm() for t in (a, b))
        assert error <= 1.2 * allowed + 0.01 * truth.norm()


def test_autocast_returns_bfloat16_and_gradients_of_the_parameters():
    given, size = tensors(dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        found = results(conv_attention, given, size)
    assert [t.dtype for t in found] == [torch.bfloat16] * 2 + [torch.float32] * 4
    exact = results(by_torch, given, size)
    for a, b in zip(found, exact, strict=True):
        assert (a - b).norm() <= 0.03 * b.norm() + 0.05


def test_a_trace_has_no_function_of_ours():
    given, size = tensors()

    def run(qkv, class_qkv):
        return conv_attention(qkv, class_qkv, size, *given[2:], HEADS)

    traced = torch.jit.trace(run, tuple(given[:2]))
    assert 'PythonOp' not in str(traced.inlined_graph)
    for a, b in zip(traced(*given[:2]), run(*given[:2]), strict=True):
        torch.testing.assert_close(a, b)
