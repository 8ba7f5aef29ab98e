"""One contract for all backbones: maps, sizes, memory, gradients and weights."""

import copy
import logging

import pytest
import timm
import torch
import torchvision
from mmengine.logging import MMLogger
from mmengine.runner import save_checkpoint
from mmseg.registry import MODELS
from torchvision.models.feature_extraction import create_feature_extractor

from mmseg_ftu.models.backbones import TimmEncoder
from mmseg_ftu.models.backbones.checkpointing import recompute_in_place
from mmseg_ftu.models.backbones.pretrained import load_complete

LITE = dict(embed_dims=(16, 24, 32, 40), serial_depths=(1, 2, 1, 1))
SLIM = dict(
    embed_dims=(16, 32, 40, 64),
    depths=(1, 2, 1, 1),
    num_heads=(1, 2, 5, 8),
    mlp_ratios=(2, 2, 2, 2),
)
BACKBONES = {
    'CoaT': dict(type='CoaT', arch=LITE),
    'MiT': dict(type='MiT', arch=SLIM),
    'PVTv2': dict(type='PVTv2', arch=SLIM),
    'PVTv2-Li': dict(type='PVTv2', arch='b2_li'),
    'EfficientNet': dict(type='EfficientNet', arch='b0'),
    'FTUResNet': dict(type='FTUResNet', depth=18),
    'TimmEncoder': dict(
        type='TimmEncoder',
        model_name='convnext_atto',
        model_args=dict(depths=(1, 1, 2, 1)),
    ),
    'TimmEncoder, BatchNorm': dict(
        type='TimmEncoder', model_name='tf_efficientnet_lite0'
    ),
    'TimmEncoder, plain': dict(
        type='TimmEncoder',
        model_name='vit_small_patch14_reg4_dinov2',
        model_args=dict(embed_dim=64, depth=12, num_heads=4, init_values=1.0),
        pyramid_channels=32,
    ),
}
WITH_DROP_PATH = ['CoaT', 'MiT', 'PVTv2', 'EfficientNet']
each_backbone = pytest.mark.parametrize('name', list(BACKBONES))


def build(name: str, **kwargs):
    torch.manual_seed(0)
    model = MODELS.build(dict(BACKBONES[name], **kwargs))
    model.init_weights()
    return model


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (64, 96), (101, 65)])
@each_backbone
def test_maps_are_a_list_from_stride_4_to_32_whatever_the_size(name, size):
    model = build(name).eval()
    with torch.no_grad():
        maps = model(images(2, 3, *size))
    assert isinstance(maps, list)
    assert model.strides == [4, 8, 16, 32]
    assert [tuple(m.shape) for m in maps] == [
        (2, c, -(-size[0] // s), -(-size[1] // s))
        for c, s in zip(model.out_channels, model.strides, strict=True)
    ]


@each_backbone
def test_input_is_not_modified(name):
    x = images(1, 3, 64, 64)
    before = x.clone()
    build(name).eval()(x)
    assert torch.equal(x, before)


@each_backbone
def test_every_parameter_gets_a_gradient(name):
    model = build(name).train()
    sum(m.square().mean() for m in model(images(2, 3, 64, 64))).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@each_backbone
def test_checkpointing_changes_nothing(name):
    plain, saving = build(name), build(name, with_cp=True)
    saving.load_state_dict(plain.state_dict())
    x = images(2, 3, 64, 64)
    for model in (plain, saving):
        model.train()
        sum(m.square().mean() for m in model(x)).backward()
    assert any(p.grad.abs().sum() > 0 for p in plain.parameters())
    for (key, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=key)
    # statistics of BatchNorm among them, which a second update would move on
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(saving.state_dict()[key], value, msg=key)


@pytest.mark.parametrize('name', ['CoaT', 'MiT', 'PVTv2'])
def test_checkpointing_of_some_stages_changes_nothing(name):
    plain, saving = build(name), build(name, with_cp=[0, 2])
    saving.load_state_dict(plain.state_dict())
    x = images(2, 3, 64, 64)
    for model in (plain, saving):
        model.train()
        sum(m.square().mean() for m in model(x)).backward()
    for (key, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=key)


@pytest.mark.parametrize('name', ['CoaT', 'MiT', 'PVTv2'])
def test_checkpointing_of_one_stage_saves_a_part(name):
    parts = [False, [3], [0], [0, 1, 2, 3], True]
    found = [saved_bytes(build(name, with_cp=part)) for part in parts]
    none, last, first, all_, true = found
    assert none > last > first > all_ >= true


@pytest.mark.parametrize(
    'with_cp', [[9], [-1], 1, '0', ['first'], None, [[0]], {0: 1}, [True]]
)
@pytest.mark.parametrize('name', ['CoaT', 'MiT'])
def test_checkpointing_of_no_stage_is_refused(name, with_cp):
    with pytest.raises(ValueError, match=r'with_cp=.*: give True, False, or a list of'):
        build(name, with_cp=with_cp)


@pytest.mark.parametrize('name', ['FTUResNet', 'EfficientNet', 'TimmEncoder'])
@pytest.mark.parametrize('with_cp', [[0], 'False', None])
def test_stages_are_refused_where_all_are_recomputed(name, with_cp):
    with pytest.raises(ValueError, match='give True or False; only CoaT, MiT and PVT'):
        build(name, with_cp=with_cp)


class Replaces(torch.nn.Module):
    """As a stage of HRNet: replaces what stands in its list."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, maps):
        for i in range(len(maps)):
            maps[i] = maps[i].square() * self.weight
        return maps[0]


def test_checkpointing_of_a_module_that_changes_its_list():
    found = []
    for saving in (False, True):
        module = Replaces()
        if saving:
            recompute_in_place(module)
        x = torch.tensor(3.0, requires_grad=True)
        maps = [x * 1.0]
        y = module(maps)
        maps.append(y)  # as a block of DenseNet does, after the call
        y.backward()
        found.append((y.item(), x.grad.item(), module.weight.grad.item()))
    assert found[0] == found[1] == (18.0, 12.0, 9.0)


@pytest.mark.parametrize('name', ['hrnet_w18_small', 'densenet121'])
def test_checkpointing_of_lists_changes_no_gradient(name):
    plain, saving = TimmEncoder(name), TimmEncoder(name, with_cp=True)
    saving.load_state_dict(plain.state_dict())
    x = images(2, 3, 32, 32)
    for model in (plain, saving):
        model.train()
        sum(m.square().mean() for m in model(x)).backward()
    pairs = zip(plain.parameters(), saving.parameters(), strict=True)
    gradients = [(a.grad, b.grad) for a, b in pairs if a.grad is not None]
    whole = [
        torch.cat([g.flatten() for g in side]) for side in zip(*gradients, strict=True)
    ]
    assert (whole[0] - whole[1]).norm() < 1e-4 * whole[0].norm()


@pytest.mark.parametrize(
    'name', ['EfficientNet', 'FTUResNet', 'TimmEncoder, BatchNorm']
)
def test_checkpointing_updates_statistics_once_also_if_it_recomputes_twice(name):
    model = build(name, with_cp=True).train()
    loss = sum(m.square().mean() for m in model(images(2, 3, 64, 64)))
    loss.backward(retain_graph=True)
    loss.backward()
    counts = {k: v for k, v in model.state_dict().items() if 'num_batches' in k}
    assert counts
    assert {int(count) for count in counts.values()} == {1}
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


@pytest.mark.parametrize(
    'name', ['EfficientNet', 'FTUResNet', 'TimmEncoder, BatchNorm']
)
def test_checkpointing_keeps_names_and_answers(name):
    plain, saving = build(name).eval(), build(name, with_cp=True).eval()
    saving.load_state_dict(plain.state_dict())
    x = images(1, 3, 64, 96)
    for a, b in zip(plain(x), copy.deepcopy(saving)(x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_checkpointing_compiles_and_updates_statistics_once():
    model = build('FTUResNet', with_cp=True).train()
    compiled = torch.compile(model, backend='aot_eager')
    sum(m.square().mean() for m in compiled(images(2, 3, 64, 64))).backward()
    counts = [v for k, v in model.state_dict().items() if 'num_batches' in k]
    assert {int(count) for count in counts} == {1}


def saved_bytes(model):
    total = 0

    def pack(tensor):
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model.train()(images(2, 3, 64, 64))
    return total


@each_backbone
def test_checkpointing_saves_memory(name):
    assert saved_bytes(build(name, with_cp=True)) < 0.7 * saved_bytes(build(name))


@pytest.mark.parametrize('name', WITH_DROP_PATH)
def test_drop_path_only_in_training(name):
    plain, dropping = build(name), build(name, drop_path_rate=0.9)
    dropping.load_state_dict(plain.state_dict())
    x = images(2, 3, 64, 64)
    for a, b in zip(plain.eval()(x), dropping.eval()(x), strict=True):
        assert torch.equal(a, b)
    deepest = [m.train()(x)[3] for m in (plain, dropping)]
    assert not torch.allclose(*deepest)


@each_backbone
def test_bf16_autocast_stays_near_float32(name):
    model = build(name).train()
    x = images(2, 3, 64, 64)
    expected = model(x)[1]
    with torch.autocast('cpu', torch.bfloat16):
        got = model(x)
    sum(m.float().square().mean() for m in got).backward()
    assert (expected - got[1].float()).norm() / expected.norm() < 0.05
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@each_backbone
def test_own_weights_load_from_a_whole_segmentors_checkpoint(name, tmp_path):
    reference = build(name)
    state = {f'backbone.{k}': v for k, v in reference.state_dict().items()}
    save_checkpoint(dict(state_dict=state), str(tmp_path / 'epoch_1.pth'))
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'epoch_1.pth'))
    torch.manual_seed(5)
    model = MODELS.build(dict(BACKBONES[name], init_cfg=init_cfg))
    model.init_weights()
    for key, value in model.state_dict().items():
        assert torch.equal(value, reference.state_dict()[key]), key


@each_backbone
def test_a_wrong_file_is_refused(name, tmp_path):
    torch.save({'some.weight': torch.ones(3)}, tmp_path / 'other.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'other.pth'))
    model = MODELS.build(dict(BACKBONES[name], init_cfg=init_cfg))
    with pytest.raises(ValueError, match=r'other\.pth.*missing in the file'):
        model.init_weights()


@each_backbone
def test_random_initialisation_is_logged(name, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO):
            build(name)
    finally:
        logger.removeHandler(caplog.handler)
    assert f'{BACKBONES[name]["type"]}: no pretrained weights' in caplog.text


@pytest.mark.parametrize(
    ('cfg', 'said'),
    [
        (dict(type='MiT', arch='b9'), "MiT arch='b9'.*b0, b1, b2, b3, b4, b5"),
        (dict(type='PVTv2', arch=dict(depths=(1,))), 'embed_dims, depths, num_heads'),
        (dict(type='MiT', arch=dict(SLIM, depths=(1,))), 'lists of one length, 1 to 4'),
        (dict(type='MiT', arch=dict(SLIM, num_heads=(3,) * 4)), 'multiples of num_he'),
        (dict(type='EfficientNet', arch='b9'), "arch='b9': expected one of"),
        (dict(type='EfficientNet', output_stride=4), 'expected 8, 16 or 32'),
        (dict(type='FTUResNet', depth=7), 'depth=7: expected one of'),
        (dict(type='FTUResNet', output_stride=64), 'expected 8, 16 or 32'),
    ],
)
def test_wrong_arguments(cfg, said):
    with pytest.raises(ValueError, match=said):
        MODELS.build(cfg)


@pytest.mark.parametrize('name', ['CoaT', 'MiT', 'PVTv2'])
@pytest.mark.parametrize('size', [(31, 64), (64, 16)])
def test_too_small_an_image(name, size):
    with pytest.raises(ValueError, match=f'height {size[0]} and width {size[1]}'):
        build(name)(images(1, 3, *size))


@pytest.mark.parametrize('output_stride', [32, 16, 8])
@pytest.mark.parametrize('name', ['EfficientNet', 'FTUResNet'])
def test_output_stride(name, output_stride):
    model = build(name, output_stride=output_stride).eval()
    with torch.no_grad():
        maps = model(images(1, 3, 96, 64))
    strides = [min(s, output_stride) for s in (4, 8, 16, 32)]
    assert model.strides == strides
    assert [tuple(m.shape[2:]) for m in maps] == [(96 // s, 64 // s) for s in strides]
    assert [m.shape[1] for m in maps] == build(name).out_channels


@pytest.mark.parametrize('name', ['EfficientNet', 'FTUResNet'])
def test_dilation_keeps_the_weights_names(name):
    plain, dilated = build(name), build(name, output_stride=8)
    dilated.load_state_dict(plain.state_dict())


def test_efficientnet_takes_timms_classifier():
    torch.manual_seed(0)
    classifier = timm.create_model('efficientnet_b0').eval()
    ours = build('EfficientNet').eval()
    load_complete(ours, classifier.state_dict(), 'timm')
    x = images(1, 3, 64, 96)
    with torch.no_grad():
        expected = classifier.forward_intermediates(x, intermediates_only=True)
        got = ours(x)
    for a, b in zip(expected[1:], got, strict=True):
        assert a.std() > 0
        torch.testing.assert_close(a, b)


def test_resnet_takes_torchvisions_classifier():
    torch.manual_seed(0)
    classifier = torchvision.models.resnet18().eval()
    ours = build('FTUResNet').eval()
    load_complete(ours, classifier.state_dict(), 'torchvision')
    x = images(1, 3, 64, 96)
    names = {f'layer{i}': str(i) for i in (1, 2, 3, 4)}
    features = create_feature_extractor(classifier, names)
    with torch.no_grad():
        expected = features(x)
        got = ours(x)
    for a, b in zip(expected.values(), got, strict=True):
        assert a.std() > 0
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_weights_of_a_resnet_lie_in_memory_as_maps_do(tmp_path):
    """Also when they were loaded: else each step would turn them and gradients."""
    source = build('FTUResNet')
    torch.save(source.state_dict(), tmp_path / 'a.pth')
    pretrained = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    model = build('FTUResNet', init_cfg=pretrained)
    model.init_weights()
    for name, weight in model.named_parameters():
        if weight.dim() == 4:
            assert weight.is_contiguous(memory_format=torch.channels_last), name
            assert (weight == source.get_parameter(name)).all()
