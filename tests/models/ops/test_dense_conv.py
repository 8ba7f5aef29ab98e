import pytest
import torch
import torch.nn.functional as F

from mmseg_ftu.models.ops import dense_conv
from mmseg_ftu.models.ops.dense_conv import conv2d, is_slow_processor


@pytest.fixture(autouse=True)
def slow_processor(monkeypatch):
    monkeypatch.setattr(dense_conv, 'is_slow_processor', lambda: True)


def tensors(kernel=(3, 3), dtype=torch.float32, layout=torch.channels_last):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 17, 53, dtype=dtype).contiguous(memory_format=layout)
    return [x, torch.randn(4, 5, *kernel, dtype=dtype), torch.randn(4, dtype=dtype)]


def gradients(function, given, *sizes):
    given = [t.clone().requires_grad_() for t in given]
    out = function(*given, *sizes)
    out.backward(torch.linspace(-1, 1, out.numel()).reshape(out.shape))
    return [out.detach(), *(t.grad for t in given)]


def is_own(*given):
    return 'DenseConv' in str(conv2d(*given).grad_fn)


@pytest.mark.parametrize('dilation', [(1, 1), (2, 3)])
@pytest.mark.parametrize('padding', [(0, 0), (2, 1)])
@pytest.mark.parametrize('stride', [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize('kernel', [(3, 3), (1, 4), (5, 2)])
def test_equals_torch(kernel, stride, padding, dilation):
    given, sizes = tensors(kernel), (stride, padding, dilation)
    ours = gradients(conv2d, given, *sizes)
    theirs = gradients(F.conv2d, given, *sizes)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    assert ours[1].is_contiguous(memory_format=torch.channels_last)


def test_own_gradient_is_taken_where_torchs_is_slow(monkeypatch):
    x, weight, bias = (t.requires_grad_() for t in tensors())
    assert is_own(x, weight, bias)
    assert is_own(x.detach(), weight, None)
    assert not is_own(x.contiguous(), weight, bias)
    assert not is_own(x, weight.detach(), bias)
    assert not is_own(x, weight[..., :1, :1], bias)
    assert not is_own(x.double(), weight.double(), bias.double())
    assert not is_own(x[0], weight, bias)
    small = x.detach()[..., :40].contiguous(memory_format=torch.channels_last)
    assert not is_own(small, weight, bias)
    with torch.no_grad():
        assert not is_own(x, weight, bias)
    with torch.autocast('cpu', torch.bfloat16):
        assert not is_own(x, weight, bias)
    monkeypatch.setattr(dense_conv, 'is_slow_processor', lambda: False)
    assert not is_own(x, weight, bias)


@pytest.mark.parametrize('frozen', [(0,), (2,), (0, 2)])
def test_frozen_parts_get_no_gradient(frozen):
    given = [t.requires_grad_(i not in frozen) for i, t in enumerate(tensors())]
    conv2d(*given).sum().backward()
    assert [t.grad is None for t in given] == [i in frozen for i in range(3)]


def test_the_processor_is_asked(monkeypatch):
    for name, slow in (('AVX2', True), ('AVX512', False), ('DEFAULT', False)):
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda n=name: n)
        is_slow_processor.cache_clear()
        assert is_slow_processor() == slow
    is_slow_processor.cache_clear()
