"""DAFormerHead against independent computations of both decoders."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

import mmseg_ftu.models.backbones  # noqa: F401 (registers CoaT)
from mmseg_ftu.models.decode_heads import DAFormerHead

DIMS = (8, 12, 16, 16, 16)
OFFICIAL = dict(embed='mlp', upsample='bilinear', fusion='sep_aspp')
COAT = dict(embed='conv', upsample='mix', fusion='conv1x1')
PVT = dict(embed='conv', upsample='mix', fusion='conv3x3')


def head(dims=DIMS, **kwargs) -> DAFormerHead:
    torch.manual_seed(0)
    settings = dict(
        embed_channels=10, channels=6, num_classes=2, out_channels=1, threshold=0.5
    )
    module = DAFormerHead(in_channels=dims, **(settings | kwargs))
    with torch.no_grad():
        for m in module.modules():
            if isinstance(m, nn.BatchNorm2d):
                for t in (m.weight, m.running_var):
                    t.uniform_(0.5, 1.5)
                for t in (m.bias, m.running_mean):
                    t.normal_()
        if module.mix is not None:
            module.mix.copy_(torch.linspace(-0.2, 0.9, len(module.mix)))
        nn.init.normal_(module.conv_seg.weight)
    return module


def maps(dims=DIMS, batch=2, size=(24, 16)) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    return [
        torch.randn(batch, c, -(-size[0] // 2**i), -(-size[1] // 2**i), generator=g)
        for i, c in enumerate(dims)
    ]


def conv_norm_act(x, block, **kwargs):
    x = F.conv2d(x, block.conv.weight, **kwargs)
    bn = block.bn
    mean, var = bn.running_mean[:, None, None], bn.running_var[:, None, None]
    x = (x - mean) / torch.sqrt(var + bn.eps)
    return F.relu(x * bn.weight[:, None, None] + bn.bias[:, None, None])


def expected_logits(module, levels, embed, upsample, fusion):
    """Compute the decoder as the papers say, with the weights of ``module``."""
    size = levels[0].shape[2:]
    resized = []
    for i, (x, block) in enumerate(zip(levels, module.embeds, strict=True)):
        if embed == 'mlp':
            x = torch.einsum('nchw,dc->ndhw', x, block.weight[:, :, 0, 0])
            x = x + block.bias[:, None, None]
        else:
            x = conv_norm_act(x, block)
        if i:
            smooth = F.interpolate(x, size, mode='bilinear', align_corners=False)
            blocky = F.interpolate(x, size, mode='nearest')
            w = module.mix[i - 1] if upsample == 'mix' else 1
            x = w * smooth + (1 - w) * blocky
        resized.append(x)
    x = torch.cat(resized, dim=1)
    if fusion == 'sep_aspp':
        branches = [conv_norm_act(x, module.aspp[0])]
        for branch, d in zip(list(module.aspp)[1:], (6, 12, 18), strict=True):
            y = conv_norm_act(
                x, branch.depthwise_conv, padding=d, dilation=d, groups=x.shape[1]
            )
            branches.append(conv_norm_act(y, branch.pointwise_conv))
        x = torch.cat(branches, dim=1)
    x = conv_norm_act(x, module.fuse, padding=0 if fusion == 'conv1x1' else 1)
    return F.conv2d(x, module.conv_seg.weight, module.conv_seg.bias)


@pytest.mark.parametrize('levels', [4, 5])
@pytest.mark.parametrize('fusion', ['sep_aspp', 'conv1x1', 'conv3x3'])
@pytest.mark.parametrize('upsample', ['bilinear', 'mix'])
@pytest.mark.parametrize('embed', ['mlp', 'conv'])
def test_equals_an_independent_computation(embed, upsample, fusion, levels):
    options = dict(embed=embed, upsample=upsample, fusion=fusion)
    module = head(DIMS[:levels], **options).eval()
    inputs = maps(DIMS[:levels], size=(25, 14))
    got = module(inputs)
    assert got.shape == (2, 1, 25, 14)
    assert got.std() > 0.1
    expected = expected_logits(module, inputs, **options)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('embed', ['conv', 'mlp'])
def test_early_fusion_with_bias_equals_the_late_one(embed):
    early = head(norm_cfg=None, **dict(COAT, embed=embed)).eval()
    nn.init.normal_(early.fuse.conv.bias)
    options = dict(COAT, embed=embed, conv_cfg=dict(type='Conv2d'))
    late = head(norm_cfg=None, **options).eval()
    late.load_state_dict(early.state_dict())
    torch.testing.assert_close(early(maps()), late(maps()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ('dims', 'count'),
    [((64, 128, 320, 512), 3_707_649), ((128, 256, 320, 512), 3_756_801)],
    ids=['mit_pvt', 'coat_lite_medium'],
)
def test_official_counts(dims, count):
    module = DAFormerHead(dims, num_classes=1, threshold=0.5)
    assert sum(p.numel() for p in module.parameters()) == count


def test_mix_starts_half_way():
    module = DAFormerHead(DIMS, num_classes=1, threshold=0.5, **COAT)
    assert module.mix.tolist() == [0.5] * 4
    module.init_weights()
    assert module.mix.tolist() == [0.5] * 4
    x = torch.arange(4.0).reshape(1, 1, 2, 2)
    fine = torch.zeros(1, 1, 4, 4)
    got = module._upsample([fine, x, x, x, x])
    smooth = F.interpolate(x, (4, 4), mode='bilinear', align_corners=False)
    blocky = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(got[0], fine)
    torch.testing.assert_close(got[1], (smooth + blocky) / 2)


@pytest.mark.parametrize(
    'options', [OFFICIAL, COAT, PVT], ids=['official', 'coat', 'pvt']
)
def test_every_parameter_gets_a_gradient(options):
    module = head(**options).train()
    module(maps(size=(32, 32))).square().mean().backward()
    lost = [
        n
        for n, p in module.named_parameters()
        if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert lost == []


def test_in_index_selects_levels():
    inputs = maps()
    module = head((DIMS[1], DIMS[3]), in_index=[1, 3], **PVT).eval()
    other = head((DIMS[1], DIMS[3]), **PVT).eval()
    assert torch.equal(module(inputs), other([inputs[1], inputs[3]]))
    assert module(inputs).shape[2:] == inputs[1].shape[2:]


@pytest.mark.parametrize(
    'options', [OFFICIAL, COAT, PVT], ids=['official', 'coat', 'pvt']
)
def test_bf16_autocast_stays_near_float32(options):
    module = head(**options).eval()
    expected = module(maps())
    with torch.autocast('cpu', torch.bfloat16):
        got = module(maps())
    got.float().square().mean().backward()
    assert (got.float() - expected).norm() / expected.norm() < 0.03
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


def test_batch_norm_of_a_single_value_is_refused_in_training_only():
    inputs = maps(batch=1, size=(16, 16))
    assert inputs[4].shape[2:] == (1, 1)
    module = head(**COAT)
    with pytest.raises(ValueError, match='in_index 4 is 1 x 1 at batch size 1'):
        module.train()(inputs)
    module.eval()(inputs)
    module.train()(maps(batch=2, size=(16, 16)))
    head(norm_cfg=dict(type='GN', num_groups=2), **COAT).train()(inputs)
    head(**OFFICIAL).train()(inputs)


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        (dict(embed='linear'), r"embed='linear'.*'mlp', 'conv'"),
        (dict(upsample='cubic'), r"upsample='cubic'.*'bilinear', 'mix'"),
        (dict(fusion='aspp'), r"fusion='aspp'.*'sep_aspp', 'conv1x1', 'conv3x3'"),
        (dict(in_index=[0, 1]), r'in_index=\[0, 1\] selects 2 levels.*describes 5'),
        (dict(threshold=None), 'needs threshold'),
        (dict(threshold=None, num_classes=1, out_channels=None), 'needs threshold'),
    ],
)
def test_wrong_arguments(wrong, said):
    with pytest.raises(ValueError, match=said):
        head(**wrong)


@pytest.mark.parametrize(('with_cp', 'size'), [(False, 128), (True, 96)])
def test_trains_in_mmseg_with_coat(with_cp, size):
    dims = (16, 24, 24, 24, 24)
    arch = dict(embed_dims=dims, serial_depths=(1,) * 5, parallel_depth=1)
    bce = dict(type='CrossEntropyLoss', use_sigmoid=True)
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='CoaT', arch=arch, with_cp=with_cp),
            decode_head=dict(
                type='DAFormerHead',
                in_channels=dims,
                embed_channels=16,
                channels=16,
                num_classes=2,
                out_channels=1,
                threshold=0.5,
                loss_decode=bce,
                **COAT,
            ),
            test_cfg=ConfigDict(mode='whole'),
        )
    )
    model.init_weights()
    samples = []
    for _ in range(2):
        mask = torch.zeros(1, size, size, dtype=torch.long)
        mask[:, : size // 2] = 1
        meta = dict(img_shape=(size, size), ori_shape=(size, size))
        sample = SegDataSample(gt_sem_seg=PixelData(data=mask), metainfo=meta)
        samples.append(sample)
    images = torch.randn(2, 3, size, size)
    losses = model(images, samples, mode='loss')
    losses['decode.loss_ce'].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    result = model.eval()(images, samples, mode='predict')
    assert result[0].pred_sem_seg.data.shape == (1, size, size)
