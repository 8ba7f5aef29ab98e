"""The layer, and how networks get it; its operations have tests of their own."""

import copy

import torch
from torch import nn

from mmseg_ftu.models.ops import dense_conv
from mmseg_ftu.models.ops.convolution import Convolution, speed_up

C = 6


def image():
    torch.manual_seed(0)
    return torch.randn(2, C, 17, 23, dtype=torch.float64)


def test_speed_up_changes_depthwise_and_dense_convolutions_only():
    net = nn.Sequential(
        nn.Conv2d(C, C, 5, groups=C),
        nn.Conv2d(C, C, 5),
        nn.Conv2d(C, C, 1),
        nn.Conv2d(C, C, 5, padding='same', groups=C),
        nn.Conv2d(C, C, 5, padding=2, padding_mode='reflect', groups=C),
        nn.Conv2d(C, 2 * C, 5, groups=C),
        nn.Conv2d(C, C, 5, groups=2),
    )
    before = {k: v.clone() for k, v in net.state_dict().items()}
    speed_up(net)
    assert [type(module) is Convolution for module in net] == [True] * 2 + [False] * 5
    after = copy.deepcopy(net).state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_a_changed_network_is_traced_and_compiled_as_torchs():
    net = nn.Sequential(nn.Conv2d(C, C, 5, 2, 2, groups=C)).double()
    speed_up(net)
    x = image()
    traced = torch.jit.trace(net, x)
    torch.testing.assert_close(traced(x), net(x))
    assert 'PythonOp' not in str(traced.inlined_graph)


def test_a_dilated_network_is_traced_as_torchs():
    net = nn.Sequential(nn.Conv2d(C, C, 3, 1, 6, 6, groups=C)).double()
    speed_up(net)
    x = image()
    traced = torch.jit.trace(net, x)
    torch.testing.assert_close(traced(x), net(x))
    smaller = x[..., :11, :9]
    torch.testing.assert_close(traced(smaller), net(smaller))


def test_each_kind_has_its_operation(monkeypatch):
    net = nn.Sequential(nn.Conv2d(C, C, 3, 2, 1), nn.Conv2d(C, C, 5, 1, 2, groups=C))
    expected = net.double()(image())
    speed_up(net)
    called = []
    own = dense_conv.conv2d
    monkeypatch.setattr(
        dense_conv, 'conv2d', lambda *args: called.append(args) or own(*args)
    )
    torch.testing.assert_close(net(image()), expected)
    assert len(called) == 1


def test_what_is_set_later_counts():
    for changes in (
        dict(padding_mode='reflect', _reversed_padding_repeated_twice=[1] * 4),
        dict(padding='same'),
        dict(padding=2, dilation=2),
    ):
        ours, theirs = (nn.Conv2d(C, C, 3, padding=1).double() for _ in range(2))
        ours.load_state_dict(theirs.state_dict())
        speed_up(ours)
        for layer in (ours, theirs):
            for name, value in changes.items():
                setattr(layer, name, value)
        assert type(ours) is Convolution
        torch.testing.assert_close(ours(image()), theirs(image()))
