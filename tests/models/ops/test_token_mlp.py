import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmseg_ftu.models.ops import token_mlp
from mmseg_ftu.models.ops.token_mlp import normed_mlp

DIM, HIDDEN = 6, 10


def layers(dtype=torch.float64):
    torch.manual_seed(0)
    parts = nn.LayerNorm(DIM, eps=1e-6), nn.Linear(DIM, HIDDEN), nn.Linear(HIDDEN, DIM)
    for p in nn.ModuleList(parts).parameters():
        nn.init.normal_(p)
    return [part.to(dtype) for part in parts]


def by_torch(x, norm, fc1, fc2):
    return fc2(F.gelu(fc1(norm(x))))


def results(function, shape, parts, dtype=torch.float64):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    x.requires_grad_()
    out = function(x, *parts)
    out.backward(torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(out))
    grads = [p.grad for part in parts for p in part.parameters()]
    for part in parts:
        part.zero_grad()
    return [out.detach(), x.grad, *grads]


@pytest.mark.parametrize(
    'shape', [(1, 1, DIM), (2, 5, DIM), (3, 4, 5, DIM), (0, 3, DIM)]
)
@pytest.mark.parametrize('portion', [1, 4, 2048])
def test_equals_torch(shape, portion, monkeypatch):
    monkeypatch.setattr(token_mlp, 'PORTION', portion)
    parts = layers()
    ours = results(normed_mlp, shape, parts)
    for a, b in zip(ours, results(by_torch, shape, parts), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_without_gradients_nothing_is_kept(monkeypatch):
    kept = []
    monkeypatch.setattr(
        torch.autograd.function.FunctionCtx,
        'save_for_backward',
        lambda self, *tensors: kept.append(tensors),
    )
    parts = layers()
    x = torch.randn(2, 5, DIM, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(normed_mlp(x, *parts), by_torch(x, *parts))
    assert [t.shape[-1] for t in kept[0] if t.shape == (10, HIDDEN)] == []


@pytest.mark.parametrize('stream', [torch.float32, torch.bfloat16])
def test_autocast_is_as_exact_as_torchs(stream):
    shape = 8, 64, DIM
    parts = layers(torch.float32)
    found = []
    for function in (normed_mlp, by_torch):
        with torch.autocast('cpu', torch.bfloat16):
            found.append(results(function, shape, parts, stream))
    exact = results(by_torch, shape, layers(), torch.float64)
    for a, b, truth in zip(*found, exact, strict=True):
        assert a.dtype == b.dtype
        error, allowed = ((t.double() - truth).norm() for t in (a, b))
        assert error <= 1.2 * allowed + 1e-3 * truth.norm()


def test_a_trace_has_no_function_of_ours():
    parts = [part.requires_grad_(False) for part in layers()]
    x = torch.randn(2, 5, DIM, dtype=torch.float64)
    traced = torch.jit.trace(lambda x: normed_mlp(x, *parts), x)
    assert 'PythonOp' not in str(traced.inlined_graph)
    torch.testing.assert_close(traced(x), by_torch(x, *parts))
