"""MiT and PVTv2 against mmseg and timm: equal maps, counts, gradients and names."""

import pytest
import timm
import torch
from mmseg.models.backbones import MixVisionTransformer
from torch import nn

from mmseg_ftu.models.backbones import MiT, PVTv2
from mmseg_ftu.models.backbones import mit as mit_module
from mmseg_ftu.models.backbones.pretrained import load_complete

# Published; timm's with its 1000-class head, MiT without one.
COUNTS = {
    (MiT, 'b0'): 3_319_392,
    (MiT, 'b2'): 24_196_288,
    (MiT, 'b5'): 81_443_008,
    (PVTv2, 'b0'): 3_666_760,
    (PVTv2, 'b2'): 25_362_856,
    (PVTv2, 'b2_li'): 22_553_512,
    (PVTv2, 'b5'): 81_956_008,
}
SIZES = [(224, 224), (97, 130), (32, 64)]


def randomize(module: nn.Module) -> nn.Module:
    """Draw every weight, so that no bias is zero and no norm is the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.05)
            if p.ndim == 1 and name.endswith('weight'):
                p.add_(1)
    return module


def mmsegs(arch: str) -> MixVisionTransformer:
    numbers = mit_module.ARCHS[arch]
    width = numbers.embed_dims[0]
    return MixVisionTransformer(
        embed_dims=width,
        num_layers=list(numbers.depths),
        num_heads=list(numbers.num_heads),
    )


def timm_classifier(arch: str) -> nn.Module:
    return timm.create_model(f'pvt_v2_{arch}')


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def pair(kind, arch):
    """Return a library's network with random weights, and ours with the same."""
    if kind is MiT:
        reference = randomize(mmsegs(arch))
        state = reference.state_dict()
    else:
        whole = randomize(timm_classifier(arch))
        state = whole.state_dict()
        reference = whole.forward_intermediates
    ours = kind(arch)
    load_complete(ours, state, 'test')
    if isinstance(reference, nn.Module):
        return reference, ours, reference
    return (lambda x: reference(x, intermediates_only=True)), ours, whole


PAIRS = [(MiT, a) for a in ('b0', 'b2')] + [(PVTv2, a) for a in ('b0', 'b2', 'b2_li')]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize(('kind', 'arch'), PAIRS)
def test_maps_equal_the_librarys(kind, arch, size):
    reference, ours, _ = pair(kind, arch)
    x = images(2, 3, *size)
    with torch.no_grad():
        expected, got = reference(x), ours(x)
    assert len(expected) == len(got) == 4
    for a, b in zip(expected, got, strict=True):
        assert a.std() > 0.01
        torch.testing.assert_close(b, a, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'arch'), PAIRS)
def test_gradients_equal_the_librarys(kind, arch):
    # In float64: rounding moves single values across the zero of b2_li's ReLU.
    reference, ours, module = pair(kind, arch)
    module.double()
    ours.double()
    x = images(1, 3, 97, 130).double()
    for maps in (reference(x), ours(x)):
        sum(m.square().mean() for m in maps).backward()
    own = dict(ours.named_parameters())
    theirs = {k: p.grad for k, p in module.named_parameters() if p.grad is not None}
    theirs = ours.map_pretrained(theirs)
    assert set(own) == set(theirs)
    for name, parameter in own.items():
        difference = (parameter.grad - theirs[name]).norm() / theirs[name].norm()
        # a constant key doesn't change a softmax, so its bias only gets noise
        assert difference < 1e-8 or theirs[name].norm() < 1e-8, name


@pytest.mark.parametrize(('kind', 'arch'), list(COUNTS))
def test_parameter_counts_are_the_published_ones(kind, arch):
    with torch.device('meta'):
        ours = kind(arch)
    count = sum(p.numel() for p in ours.parameters())
    head = 1000 * (ours.out_channels[-1] + 1) if kind is PVTv2 else 0
    assert count + head == COUNTS[kind, arch]


@pytest.mark.parametrize('kind', [MiT, PVTv2])
def test_all_archs_build(kind):
    for arch in kind.archs:
        with torch.device('meta'):
            assert kind(arch).out_channels[-1] in (256, 512)


def test_official_names_are_mapped():
    # The same tensors in the official releases' naming, made from ours.
    ours = randomize(MiT('b0'))
    official = {}
    for name, value in ours.state_dict().items():
        _, k, part, rest = name.split('.', 3)
        k = int(k) + 1
        rest = rest.replace('dwconv.', 'dwconv.dwconv.')
        part = 'block' if part == 'blocks' else part
        official[f'{part}{k}.{rest}'] = value
    official |= {'head.weight': torch.ones(1000, 256), 'head.bias': torch.ones(1000)}
    assert 'block1.0.mlp.dwconv.dwconv.weight' in official
    assert 'patch_embed1.proj.weight' in official
    other = MiT('b0')
    load_complete(other, official, 'official')
    for name, value in other.state_dict().items():
        assert torch.equal(value, ours.state_dict()[name]), name


def test_a_file_of_another_variant_is_named():
    state = mmsegs('b1').state_dict()
    with pytest.raises(ValueError, match=r'other shape.*are those of arch=b1'):
        load_complete(MiT('b0'), state, 'mit_b1.pth')


def test_drop_path_grows_linearly():
    model = MiT('b0', drop_path_rate=0.7)
    rates = [b.drop_path.drop_prob for stage in model.stages for b in stage.blocks]
    assert rates == pytest.approx([0.1 * i for i in range(8)])


@pytest.mark.parametrize('kind', [MiT, PVTv2])
def test_compiles_in_one_graph(kind):
    model = randomize(kind('b0')).eval()
    compiled = torch.compile(model, backend='eager', fullgraph=True)
    with torch.no_grad():
        x = images(1, 3, 70, 64)
        for a, b in zip(model(x), compiled(x), strict=True):
            torch.testing.assert_close(a, b)
