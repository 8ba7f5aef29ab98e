import pytest
import torch
import torch.nn.functional as F

from mmseg_ftu.models.ops import phases
from mmseg_ftu.models.ops.depthwise_conv import (
    conv2d,
    input_gradient,
    weight_gradient,
)

C = 6


def noise_like(tensor):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)


def gradients(function, tensors, *args, **kwargs):
    tensors = [t.clone().requires_grad_() for t in tensors]
    out = function(*tensors, *args, **kwargs)
    grad = noise_like(out)
    out.backward(grad)
    return [out.detach(), *(t.grad for t in tensors)]


def tensors(kernel, size=(17, 23), dtype=torch.float64):
    torch.manual_seed(0)
    shapes = (2, C, *size), (C, 1, *kernel), (C,)
    return [torch.randn(shape, dtype=dtype) for shape in shapes]


@pytest.mark.parametrize('dilation', [(1, 1), (2, 3)])
@pytest.mark.parametrize('padding', [(0, 0), (2, 1), (3, 5)])
@pytest.mark.parametrize('stride', [(1, 1), (2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize('kernel', [(3, 3), (5, 5), (7, 7), (1, 4), (2, 11)])
def test_equals_torch(kernel, stride, padding, dilation):
    given = tensors(kernel, (30, 40))
    sizes = stride, padding, dilation
    ours = gradients(conv2d, given, *sizes, C)
    theirs = gradients(F.conv2d, given, *sizes, C)
    grad = noise_like(ours[0])
    # with a stride only bfloat16 takes these
    by_hand = [
        input_gradient(grad, *given[:2], *sizes),
        weight_gradient(grad, *given[:2], *sizes),
    ]
    for a, b in zip(ours + by_hand, theirs + theirs[1:3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_an_image_without_a_batch():
    x, weight, bias = tensors((5, 5))
    given = [x[0], weight, bias]
    ours = gradients(conv2d, given, (1, 1), (2, 2), groups=C)
    theirs = gradients(F.conv2d, given, (1, 1), (2, 2), groups=C)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_own_backward_runs_where_torchs_is_slow():
    x, weight, _ = (t.requires_grad_() for t in tensors((5, 5)))

    def is_own(x, weight, stride):
        out = conv2d(x, weight, None, (stride, stride), groups=C)
        return 'DepthwiseConv' in str(out.grad_fn)

    assert is_own(x, weight, 1)
    assert not is_own(x, weight, 2)
    assert is_own(x.bfloat16(), weight.bfloat16(), 2)
    assert not is_own(x, weight[..., :3], 1)
    with torch.no_grad():
        assert not is_own(x, weight, 1)
    with torch.autocast('cpu', torch.bfloat16):
        assert is_own(x.float(), weight.float(), 2)


def assert_as_exact(ours, theirs, exact):
    for a, b, truth in zip(ours, theirs, exact, strict=True):
        error, allowed = ((t.double() - truth).abs().max() for t in (a, b))
        assert error <= 1.5 * allowed + 1e-2


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_bfloat16_is_as_exact_as_torchs(stride, layout):
    exact = tensors((5, 5), (32, 32))
    given = [t.bfloat16() for t in exact]
    given[0] = given[0].contiguous(memory_format=layout)
    args = (stride, stride), (2, 2), (1, 1), C
    exact = gradients(F.conv2d, [t.double() for t in given], *args)
    ours = gradients(conv2d, given, *args)
    theirs = gradients(F.conv2d, given, *args)
    assert {a.dtype for a in ours} == {torch.bfloat16}
    assert_as_exact(ours, theirs, exact)


def test_autocast_gives_gradients_in_the_dtype_of_the_weights():
    given = tensors((5, 5), dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        ours = gradients(conv2d, given, (2, 2), (2, 2), (1, 1), C)
        theirs = gradients(F.conv2d, given, (2, 2), (2, 2), (1, 1), C)
    assert [t.dtype for t in ours] == [t.dtype for t in theirs]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.1)


def test_autocast_leaves_float64_as_it_is():
    given = tensors((5, 5))
    with torch.autocast('cpu', torch.bfloat16):
        out = conv2d(given[0], given[1].requires_grad_(), None, groups=C)
    assert out.dtype == F.conv2d(*given[:2], groups=C).dtype == torch.float64


@pytest.mark.parametrize('frozen', [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_frozen_parts_get_no_gradient(frozen):
    given = [t.requires_grad_(i not in frozen) for i, t in enumerate(tensors((5, 5)))]
    conv2d(*given, groups=C).sum().backward()
    assert [t.grad is None for t in given] == [i in frozen for i in range(3)]


def test_without_bias():
    x, weight, _ = (t.requires_grad_() for t in tensors((5, 5)))
    conv2d(x, weight, None, groups=C).sum().backward()
    assert weight.grad is not None


def test_an_image_smaller_than_the_kernel_is_refused_as_by_torch():
    x, weight, bias = tensors((7, 7), (4, 4))
    with pytest.raises(RuntimeError, match=r'[Kk]ernel size'):
        conv2d(x, weight.requires_grad_(), bias, groups=C)


SAME = [  # kernel, dilation: the padding keeps the size
    ((3, 3), (6, 6)),
    ((3, 3), (2, 1)),
    ((5, 5), (2, 2)),
    ((7, 3), (1, 12)),
    ((3, 3), (18, 18)),  # more than the map, less than it
    ((3, 5), (24, 30)),  # more than the map: the middle is left
    ((1, 1), (6, 6)),
]


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(('kernel', 'dilation'), SAME)
def test_dilated_kernels_equal_torchs(kernel, dilation, layout):
    given = tensors(kernel)
    given[0] = given[0].contiguous(memory_format=layout)
    padding = tuple(k // 2 * d for k, d in zip(kernel, dilation, strict=True))
    sizes = (1, 1), padding, dilation
    ours = gradients(conv2d, given, *sizes, C)
    theirs = gradients(F.conv2d, given, *sizes, C)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    assert ours[0].is_contiguous(memory_format=layout)
    with torch.no_grad():
        torch.testing.assert_close(conv2d(*given, *sizes, C), theirs[0])


def runs_by_phases(monkeypatch, kernel, dilation, padding, stride=1):
    calls = []
    split = phases.split

    def counted(*args):
        calls.append(args)
        return split(*args)

    monkeypatch.setattr(phases, 'split', counted)
    conv2d(
        *tensors(kernel), (stride, stride), (padding,) * 2, (dilation,) * 2, groups=C
    )
    return bool(calls)


def test_phases_are_taken_where_torch_is_slow(monkeypatch):
    assert runs_by_phases(monkeypatch, (3, 3), 2, 2)
    assert runs_by_phases(monkeypatch, (3, 3), 6, 6)
    assert not runs_by_phases(monkeypatch, (3, 3), 1, 1)
    assert not runs_by_phases(monkeypatch, (3, 3), 2, 2, stride=2)
    assert not runs_by_phases(monkeypatch, (3, 3), 2, 0)
    with torch.no_grad():
        assert not runs_by_phases(monkeypatch, (3, 3), 2, 2)
        assert runs_by_phases(monkeypatch, (3, 3), 6, 6)


def test_dilated_in_bfloat16_is_as_exact_as_torchs():
    exact = [t.bfloat16().double() for t in tensors((3, 3), (32, 32))]
    given = [t.bfloat16() for t in exact]
    args = (1, 1), (6, 6), (6, 6), C
    exact = gradients(F.conv2d, exact, *args)
    ours = gradients(conv2d, given, *args)
    theirs = gradients(F.conv2d, given, *args)
    assert {a.dtype for a in ours} == {torch.bfloat16}
    assert_as_exact(ours, theirs, exact)


def test_dilated_under_autocast_has_types_and_exactness_of_torchs():
    given = [t.bfloat16().float() for t in tensors((3, 3))]
    args = (1, 1), (6, 6), (6, 6), C
    exact = gradients(F.conv2d, [t.double() for t in given], *args)
    with torch.autocast('cpu', torch.bfloat16):
        ours = gradients(conv2d, given, *args)
        theirs = gradients(F.conv2d, given, *args)
    assert [t.dtype for t in ours] == [t.dtype for t in theirs]
    assert_as_exact(ours, theirs, exact)


def test_a_dilated_convolution_of_no_image():
    x, weight, bias = tensors((3, 3))
    args = (1, 1), (6, 6), (6, 6), C
    assert conv2d(x[:0], weight, bias, *args).shape == (0, *x.shape[1:])


@pytest.mark.parametrize('dilation', [1, 6, 18])
def test_the_gradient_of_kernels_in_bfloat16_does_not_lose_large_batches(dilation):
    # of one sign, so that a sum that stops growing is seen
    batch = 48 if dilation == 1 else 4
    x, weight, _ = tensors((3, 3), (32, 32), torch.float32)
    x = x.relu().bfloat16().repeat(batch // 2, 1, 1, 1)
    sizes = (1, 1), (dilation,) * 2, (dilation,) * 2
    found = []
    for dtype in (torch.float64, torch.bfloat16):
        kernels = weight.to(dtype).requires_grad_()
        out = conv2d(x.to(dtype), kernels, None, *sizes, C)
        out.backward(torch.ones_like(out))
        found.append(kernels.grad.double())
    exact, ours = found
    assert (ours - exact).norm() < 0.005 * exact.norm()
