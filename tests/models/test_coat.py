"""CoaT against timm: equal maps and counts; any input size; every weight trained."""

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from quick_and_slow import mostly_slow
from timm.models.coat import CoaT as TimmCoaT

from mmseg_ftu.models.backbones.coat import CoaT
from mmseg_ftu.models.backbones.coat_blocks import Scale, mix_scales
from mmseg_ftu.models.backbones.coat_variants import (
    ARCHS,
    fourth_scale_name,
    resolve_arch,
)

TINY = dict(embed_dims=(16, 24, 24, 24), serial_depths=(1, 1, 1, 1), parallel_depth=2)
TINY5 = dict(embed_dims=(16,) + (24,) * 4, serial_depths=(1,) * 5, parallel_depth=2)
LITE = dict(embed_dims=(16, 24, 32, 40), serial_depths=(1, 2, 1, 1))
TIMM_ARCHS = [name for name in ARCHS if name != 'small_plus1']
QUICK = ['tiny', 'lite_tiny']
# Published, with classification norms and head: timm and the official README.
COUNTS = {
    'tiny': 5_498_540,
    'mini': 10_337_004,
    'small': 21_693_908,
    'lite_tiny': 5_721_960,
    'lite_mini': 11_011_560,
    'lite_small': 19_838_504,
    'lite_medium': 44_571_048,
}


def randomize(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Draw every weight, so that no token is zero and no norm is the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.05)
            if 'norm' in name and name.endswith('weight'):
                p.add_(1)
    return module


def timm_maps(arch, size: tuple[int, int]) -> TimmCoaT:
    names = [f'x{i}_nocls' for i in (1, 2, 3, 4)]
    return TimmCoaT(
        img_size=size,
        patch_size=4,
        return_interm_layers=True,
        out_features=names,
        **resolve_arch(arch),
    )


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('size', [(224, 224), (96, 160)])
@pytest.mark.parametrize('arch', mostly_slow(TIMM_ARCHS, QUICK))
def test_maps_equal_timms(arch, size):
    reference = randomize(timm_maps(arch, size)).eval()
    ours = CoaT(arch).eval()
    ours.load_state_dict(reference.state_dict())  # strict: the names are equal too
    x = images(1, 3, *size)
    with torch.no_grad():
        expected = list(reference(x).values())
        got = ours(x)
    assert len(expected) == len(got) == 4
    for a, b in zip(expected, got, strict=True):
        assert a.std() > 0.01
        torch.testing.assert_close(b, a, atol=1e-5 * a.abs().max().item(), rtol=0)


@pytest.mark.parametrize('arch', [TINY, LITE], ids=['co', 'lite'])
def test_maps_and_gradients_equal_timms(arch):
    size = 64, 96
    reference = randomize(timm_maps(arch, size)).double()
    ours = CoaT(arch).double()
    ours.load_state_dict(reference.state_dict())
    found = []
    for model in (reference, ours):
        x = images(2, 3, *size).double().requires_grad_()
        maps = model(x)
        maps = list(maps.values()) if isinstance(maps, dict) else maps
        generator = torch.Generator().manual_seed(2)
        weights = [
            torch.randn(m.shape, generator=generator, dtype=m.dtype) for m in maps
        ]
        sum((m * w).sum() for m, w in zip(maps, weights, strict=True)).backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        found.append((maps, grads | {'image': x.grad}))
    (expected, grads), (got, our_grads) = found
    for a, b in zip(expected, got, strict=True):
        torch.testing.assert_close(b, a, atol=1e-11, rtol=1e-11)
    assert grads.keys() == our_grads.keys()
    for name, grad in grads.items():
        assert grad.abs().max() > 0
        # a constant key changes nothing, so that its gradient is noise around 0
        torch.testing.assert_close(our_grads[name], grad, atol=1e-10, rtol=1e-7)


@pytest.mark.parametrize('arch', [TINY, LITE], ids=['co', 'lite'])
def test_autocast_on_a_cpu_is_as_exact_as_timms(arch):
    """What blocks add up stays in float32, as timm's class token makes it."""
    size = 64, 96
    reference = randomize(timm_maps(arch, size)).eval()
    ours = CoaT(arch).eval()
    ours.load_state_dict(reference.state_dict())
    exact = copy.deepcopy(ours).double()
    x = images(2, 3, *size)
    with torch.no_grad():
        truth = exact(x.double())
        with torch.autocast('cpu', torch.bfloat16):
            got, expected = ours(x), list(reference(x).values())
    assert {m.dtype for m in (*got, *expected)} == {torch.float32}
    for a, b, t in zip(got, expected, truth, strict=True):
        assert 0 < (a - t).norm() < 1.1 * (b - t).norm()


def test_the_class_token_of_an_image_is_dropped_with_the_image():
    model = randomize(CoaT(dict(embed_dims=(16,), serial_depths=(1,))))
    block = model.serial_blocks1[0]
    block.drop_path.drop_prob = 0.5
    scale = Scale(images(64, 4, 16), images(64, 1, 16))
    out = block.train()(scale, (2, 2))
    block.drop_path.drop_prob = 0.0
    kept = block(scale, (2, 2))
    placed = block.cpe(scale.tokens, (2, 2))
    unchanged = (out.tokens - placed).abs().amax((1, 2)) == 0
    assert 0 < unchanged.sum() < len(unchanged)
    class_unchanged = (out.cls_token - scale.cls_token).abs().amax((1, 2)) == 0
    assert torch.equal(unchanged, class_unchanged)
    assert not torch.allclose(kept.tokens, out.tokens)


@pytest.mark.parametrize('arch', TIMM_ARCHS)
def test_parameter_counts_are_the_published_ones(arch):
    with torch.device('meta'):
        ours = sum(p.numel() for p in CoaT(arch).parameters())
    dims = ARCHS[arch][0]
    normed = dims[1:] if ARCHS[arch][3] else dims[3:]
    aggregate = 3 + 1 if ARCHS[arch][3] else 0
    head = dims[3] * 1000 + 1000
    assert ours + 2 * sum(normed) + aggregate + head == COUNTS[arch]


def test_small_plus1_has_as_many_parameters_as_the_authors():
    with torch.device('meta'):
        assert sum(p.numel() for p in CoaT().parameters()) == 26_733_864


@pytest.mark.parametrize('arch', mostly_slow(ARCHS, [*QUICK, 'small_plus1']))
def test_every_parameter_gets_a_gradient(arch):
    model = randomize(CoaT(arch))
    model = model.train()
    sum(m.square().mean() for m in model(images(1, 3, 64, 64))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    # softmax over the tokens doesn't see a constant key: those biases only get noise
    dead = [n for n, p in model.named_parameters() if not p.grad.abs().sum() > 0]
    assert dead == []


@pytest.mark.parametrize(
    'size', [(32, 32), (33, 32), (63, 65), (64, 64), (97, 130), (31 * 4, 200)]
)
@pytest.mark.parametrize('arch', [TINY, TINY5, LITE], ids=['co', 'co5', 'lite'])
def test_any_size_gives_ceil_maps(arch, size):
    model = CoaT(arch).eval()
    maps = model(images(2, 3, *size))
    assert isinstance(maps, list)
    strides = [4, 8, 16, 32, 64][: len(arch['embed_dims'])]
    assert model.strides == strides
    assert model.out_channels == list(arch['embed_dims'])
    assert [tuple(m.shape) for m in maps] == [
        (2, c, -(-size[0] // s), -(-size[1] // s))
        for c, s in zip(model.out_channels, strides, strict=True)
    ]
    assert all(m.is_contiguous(memory_format=torch.channels_last) for m in maps)


@pytest.mark.parametrize('size', [(70, 100), (64, 65), (97, 64)])
def test_the_border_is_mirrored_inside(size):
    model = randomize(CoaT(TINY5)).eval()
    x = images(1, 3, *size)
    inside = model(x)
    padding = (0, -size[1] % 64, 0, -size[0] % 64)
    outside = model(F.pad(x, padding, mode='reflect'))
    for a, b in zip(inside, outside, strict=True):
        assert torch.equal(a, b[..., : a.shape[2], : a.shape[3]])


def test_input_is_not_modified():
    x = images(1, 3, 64, 64)
    before = x.clone()
    CoaT(TINY)(x)
    assert torch.equal(x, before)


def test_mix_scales_on_numbers():
    # Two scales, one channel: 2 x 2 and 1 x 1.
    fine = Scale(
        torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 4, 1), torch.ones(1, 1, 1)
    )
    coarse = Scale(torch.full((1, 1, 1), 100.0), torch.full((1, 1, 1), 10.0))
    mixed = mix_scales([fine, coarse], [(2, 2), (1, 1)])
    assert mixed[0].tokens.flatten().tolist() == [101, 102, 103, 106]
    assert mixed[1].tokens.flatten().tolist() == [103]
    assert [scale.cls_token.item() for scale in mixed] == [11, 11]


def test_checkpointing_changes_nothing():
    plain = randomize(CoaT(TINY5)).train()
    saving = CoaT(TINY5, with_cp=True).train()
    saving.load_state_dict(plain.state_dict())
    x = images(2, 3, 64, 96)
    for model in (plain, saving):
        sum(m.square().mean() for m in model(x)).backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_drop_path_only_in_training_and_at_the_given_rate():
    plain = randomize(CoaT(LITE)).eval()
    dropping = CoaT(LITE, drop_path_rate=0.5)
    dropping.load_state_dict(plain.state_dict())
    x = images(2, 3, 64, 64)
    for a, b in zip(plain(x), dropping.eval()(x), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(plain(x)[3], dropping.train()(x)[3])
    rates = {m.drop_prob for m in dropping.modules() if hasattr(m, 'drop_prob')}
    assert rates == {0.5}
    parallel = CoaT(TINY, drop_path_rate=0.3).parallel_blocks[0]
    assert parallel.drop_path.drop_prob == 0.3


@pytest.mark.parametrize('arch', [TINY5, LITE], ids=['co5', 'lite'])
def test_bf16_autocast_stays_near_float32(arch):
    model = randomize(CoaT(arch)).train()
    x = images(1, 3, 64, 64)
    expected = model(x)
    with torch.autocast('cpu', torch.bfloat16):
        got = model(x)
    sum(m.float().square().mean() for m in got).backward()
    for a, b in zip(expected, got, strict=True):
        assert (a - b.float()).norm() / a.norm() < 0.03
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.slow
def test_compiles_in_one_graph():
    model = randomize(CoaT(TINY5)).eval()
    compiled = torch.compile(copy.deepcopy(model), backend='eager', fullgraph=True)
    x = images(1, 3, 70, 64)
    with torch.no_grad():
        for a, b in zip(model(x), compiled(x), strict=True):
            torch.testing.assert_close(a, b)


def test_builds_from_mmsegs_registry_with_other_channels():
    model = MODELS.build(dict(type='CoaT', arch=LITE, in_channels=1))
    assert model(images(1, 1, 32, 32))[3].shape == (1, 40, 1, 1)


@pytest.mark.parametrize(
    ('arch', 'said'),
    [
        ('big', "'big'.*tiny, mini, small, small_plus1, lite_tiny"),
        (dict(embed_dims=(16, 24)), 'embed_dims, serial_depths, mlp_ratios'),
        (dict(LITE, depth=3), "'depth': 3.*parallel_depth"),
        (dict(LITE, serial_depths=(1, 1)), 'one width, depth and ratio per scale'),
        (dict(LITE, embed_dims=(16, 20, 32, 40)), 'multiples of 8'),
        (dict(LITE, parallel_depth=1), 'one width and ratio from the second scale'),
    ],
)
def test_wrong_arch(arch, said):
    with pytest.raises(ValueError, match=said):
        CoaT(arch)


@pytest.mark.parametrize('size', [(31, 64), (64, 16)])
def test_too_small_an_image(size):
    with pytest.raises(ValueError, match=f'height {size[0]} and width {size[1]}'):
        CoaT(LITE)(images(1, 3, *size))


@pytest.mark.parametrize(
    ('fifth', 'fourth'),
    [
        ('patch_embed5.proj.weight', 'patch_embed4.proj.weight'),
        ('cls_token5', 'cls_token4'),
        ('crpe5.conv_list.0.bias', 'crpe4.conv_list.0.bias'),
        ('serial_blocks5.1.norm1.weight', 'serial_blocks4.1.norm1.weight'),
        ('parallel_blocks.5.norm15.bias', 'parallel_blocks.5.norm14.bias'),
        ('parallel_blocks.5.mlp5.fc1.bias', 'parallel_blocks.5.mlp4.fc1.bias'),
        ('parallel_blocks.5.norm12.bias', 'parallel_blocks.5.norm12.bias'),
        ('serial_blocks1.5.norm1.bias', 'serial_blocks1.5.norm1.bias'),
    ],
)
def test_fourth_scale_name(fifth, fourth):
    assert fourth_scale_name(fifth) == fourth


def test_timm_still_has_these_variants():
    for arch in TIMM_ARCHS:
        assert timm.is_model(f'coat_{arch}')
