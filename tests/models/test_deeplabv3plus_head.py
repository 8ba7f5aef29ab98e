"""DeepLabV3PlusHead against mmseg's head and segmentation_models_pytorch's decoder."""

import pytest
import torch
from mmseg.models.decode_heads import DepthwiseSeparableASPPHead
from mmseg.registry import MODELS
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

from mmseg_ftu.models.decode_heads import DeepLabV3PlusHead
from mmseg_ftu.models.ops.convolution import Convolution

DILATIONS = 1, 6, 12, 18
HEAD = dict(
    in_channels=20,
    in_index=3,
    channels=16,
    dilations=DILATIONS,
    c1_in_channels=8,
    c1_channels=48,
    num_classes=2,
    out_channels=1,
    threshold=0.5,
    dropout_ratio=0,
    norm_cfg=dict(type='BN'),
)


def pyramid(height=64, width=96):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, c, height // s, width // s, generator=generator).double()
        for c, s in ((8, 4), (12, 8), (16, 16), (20, 16))
    ]


def results(head, maps):
    maps = [m.clone().requires_grad_() for m in maps]
    out = head(maps)
    (out * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
    return [out, maps[0].grad, maps[3].grad, *(p.grad for p in head.parameters())]


@pytest.mark.parametrize('size', [(64, 96), (320, 480), (32, 16)])
def test_equals_mmsegs_head(size):
    torch.manual_seed(0)
    theirs = DepthwiseSeparableASPPHead(**HEAD).double().train()
    ours = MODELS.build(dict(type='DeepLabV3PlusHead', **HEAD)).double().train()
    ours.load_state_dict(theirs.state_dict())
    for a, b in zip(
        results(ours, pyramid(*size)), results(theirs, pyramid(*size)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-9)


def test_light_equals_smps_decoder():
    channels = [3, 4, 8, 12, 16, 20]
    torch.manual_seed(0)
    theirs = DeepLabV3PlusDecoder(channels, 5, 16, DILATIONS[1:], 16, True, 0.5)
    ours = DeepLabV3PlusHead(light=True, align_corners=True, **HEAD).double()
    ours.conv_seg = torch.nn.Identity()
    theirs = theirs.double().train()
    theirs.aspp[0].project[3].p = 0  # ours drops before the last layer
    # in the order in which both are used
    parts = [
        (ours.image_pool, theirs.aspp[0].convs[4]),
        (ours.aspp_modules, theirs.aspp[0].convs[:4]),
        (
            ours.bottleneck,
            torch.nn.Sequential(theirs.aspp[0].project, *theirs.aspp[1:]),
        ),
        (ours.c1_bottleneck, theirs.block1),
        (ours.sep_bottleneck, theirs.block2),
    ]
    for own, other in parts:
        weights = list(other.state_dict().values())
        names = own.state_dict()
        own.load_state_dict(dict(zip(names, weights, strict=True)))
    weight = ours.bottleneck[0].conv.weight  # ours has the pooled image first
    weight.data = weight.data.roll(HEAD['channels'], dims=1)
    maps = pyramid()
    levels = [maps[0]] * 2 + maps  # the first two are not used
    torch.testing.assert_close(ours.train()(maps), theirs(levels))


def test_convolutions_are_our_own():
    for light in (False, True):
        head = DeepLabV3PlusHead(light=light, **HEAD)
        depthwise = [
            m for m in head.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1
        ]
        assert len(depthwise) == 5  # three in the ASPP, two after it
        assert all(type(m) is Convolution for m in depthwise)


def test_light_has_fewer_weights():
    plain, light = (
        sum(p.numel() for p in DeepLabV3PlusHead(light=light, **HEAD).parameters())
        for light in (False, True)
    )
    assert light < 0.8 * plain


def test_one_output_channel_needs_a_threshold():
    head = {k: v for k, v in HEAD.items() if k != 'threshold'}
    with pytest.raises(ValueError, match=r'DeepLabV3PlusHead .*needs threshold='):
        DeepLabV3PlusHead(**head)


def test_light_is_true_or_false():
    with pytest.raises(ValueError, match="light='no': expected True or False"):
        DeepLabV3PlusHead(light='no', **HEAD)
