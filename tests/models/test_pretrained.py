"""Loading of weights: every source, all or nothing, and no code from files."""

import argparse
import functools
import http.server
import logging
import os
import subprocess
import sys
import threading

import pytest
import safetensors.torch
import timm
import torch
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import BaseModel
from mmengine.runner import Runner
from timm.models.coat import CoaT as TimmCoaT

from mmseg_ftu.models.backbones import CoaT
from mmseg_ftu.models.backbones.coat_variants import resolve_arch
from mmseg_ftu.models.backbones.pretrained import load_complete
from mmseg_ftu.models.backbones.weight_files import find_checkpoint, read_state_dict

TINY = dict(embed_dims=(16, 24, 24, 24), serial_depths=(1,) * 4, parallel_depth=2)
TINY5 = dict(embed_dims=(16,) + (24,) * 4, serial_depths=(1,) * 5, parallel_depth=2)


def published(arch=TINY, seed=0) -> TimmCoaT:
    """Return timm's whole classifier, with norms, aggregation and head."""
    torch.manual_seed(seed)
    return TimmCoaT(img_size=64, patch_size=4, num_classes=7, **resolve_arch(arch))


def pretrained(path, **kwargs) -> dict:
    return dict(type='Pretrained', checkpoint=str(path), **kwargs)


def initialised(path, arch=TINY, **kwargs) -> CoaT:
    torch.manual_seed(9)
    model = CoaT(arch, init_cfg=pretrained(path, **kwargs))
    model.init_weights()
    return model


def assert_same_weights(model: CoaT, reference: torch.nn.Module) -> None:
    expected = reference.state_dict()
    own = model.state_dict()
    assert len(own) > 50
    for name, tensor in own.items():
        assert torch.equal(tensor, expected[name]), name


def wrap(state: dict, prefix: str) -> dict:
    return {prefix + name: tensor for name, tensor in state.items()}


NORM1 = {'norm1.weight': torch.ones(16), 'norm1.bias': torch.zeros(16)}
CONTENTS = {
    'official release': lambda s: dict(model={**s, **NORM1}, epoch=3),
    'DeiT training': lambda s: dict(model=s, args=argparse.Namespace(lr=1)),
    'bare': lambda s: s,
    'data parallel': lambda s: dict(state_dict=wrap(s, 'module.')),
    'compiled, parallel': lambda s: wrap(wrap(s, '_orig_mod.'), 'module.'),
    'whole segmentor': lambda s: dict(
        state_dict={**wrap(s, 'backbone.'), 'decode_head.conv_seg.bias': torch.ones(1)},
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.5], [1]))),
    ),
    'average first': lambda s: dict(
        state_dict={k: torch.zeros_like(v) for k, v in s.items()}, state_dict_ema=s
    ),
}


@pytest.mark.parametrize('form', list(CONTENTS))
def test_pth_files(tmp_path, form):
    reference = published()
    torch.save(CONTENTS[form](reference.state_dict()), tmp_path / 'weights.pth')
    assert_same_weights(initialised(tmp_path / 'weights.pth'), reference)


def test_prefix_selects_a_module(tmp_path):
    reference = published()
    state = wrap(reference.state_dict(), 'student.') | {'teacher.a': torch.ones(1)}
    torch.save(state, tmp_path / 'weights.pth')
    model = initialised(tmp_path / 'weights.pth', prefix='student')
    assert_same_weights(model, reference)
    with pytest.raises(ValueError, match="below the prefix 'pupil'"):
        initialised(tmp_path / 'weights.pth', prefix='pupil')


def test_safetensors_with_shared_tensors_stored_once(tmp_path):
    reference = published()
    path = str(tmp_path / 'model.safetensors')
    safetensors.torch.save_model(reference, path)
    assert len(read_state_dict(tmp_path / 'model.safetensors')) < len(
        reference.state_dict()
    )
    assert_same_weights(initialised(path), reference)


def test_url_is_downloaded_once(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    (tmp_path / 'www').mkdir()
    reference = published()
    torch.save(dict(model=reference.state_dict()), tmp_path / 'www' / 'tiny_ab.pth')
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / 'www')
    )
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f'http://127.0.0.1:{server.server_port}'
    try:
        assert_same_weights(initialised(f'{url}/tiny_ab.pth'), reference)
        with pytest.raises(FileNotFoundError, match=r'missing\.pth could not be down'):
            initialised(f'{url}/missing.pth')
    finally:
        server.shutdown()
        server.server_close()
    assert_same_weights(initialised(f'{url}/tiny_ab.pth'), reference)  # from the cache
    cached = tmp_path / 'torch' / 'hub' / 'checkpoints'
    assert os.listdir(cached) == ['tiny_ab.pth']


SCRIPT = """
import torch
from mmseg_ftu.models.backbones import CoaT

def build(arch, checkpoint):
    cfg = dict(type='Pretrained', checkpoint=checkpoint)
    model = CoaT(arch, init_cfg=cfg)
    model.init_weights()
    return model

model = build('lite_tiny', 'timm://coat_lite_tiny.in1k')
print('first', model.serial_blocks4[1].mlp.fc2.weight[0, :3].tolist())
model = build('lite_tiny', 'timm://coat_lite_tiny')
try:
    build('small_plus1', 'timm://coat_small.in1k')
except FileNotFoundError as error:
    print('error', error)
"""


def test_timm_name_reads_the_hub_cache_offline(tmp_path):
    torch.manual_seed(0)
    reference = timm.create_model('coat_lite_tiny')
    commit = 'a' * 40
    repo = tmp_path / 'hub' / 'models--timm--coat_lite_tiny.in1k'
    (repo / 'refs').mkdir(parents=True)
    (repo / 'refs' / 'main').write_text(commit)
    (repo / 'snapshots' / commit).mkdir(parents=True)
    safetensors.torch.save_model(
        reference, str(repo / 'snapshots' / commit / 'model.safetensors')
    )
    env = os.environ | {'HF_HOME': str(tmp_path), 'HF_HUB_OFFLINE': '1'}
    env.pop('HF_HUB_CACHE', None)
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first = reference.serial_blocks4[1].mlp.fc2.weight[0, :3].tolist()
    assert f'first {first}\n' in done.stdout
    said = done.stdout.split('\nerror ')[1]
    for part in (
        'hf download timm/coat_small.in1k model.safetensors',
        'models--timm--coat_small.in1k',
        str(tmp_path / 'hub'),
        "checkpoint='/path/to/model.safetensors'",
    ):
        assert part in said


def test_unknown_timm_name_lists_similar_ones():
    with pytest.raises(ValueError, match=r'coat_smal\.in1k.*coat_lite_medium\.in1k'):
        find_checkpoint('timm://coat_smal.in1k')


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no file .*nowhere\.pth'):
        initialised(tmp_path / 'nowhere.pth')


class Evil:
    """Make a folder when it is unpickled."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('way', ['direct', 'getattr'])
def test_pickled_code_is_not_run(tmp_path, zipped, way):
    marker = tmp_path / 'was_run'
    evil = {
        'direct': Evil(os.mkdir, str(marker)),
        'getattr': Evil(getattr, HistoryBuffer, '__init__'),
    }[way]
    state = dict(model=published().state_dict(), extra=evil)
    path = tmp_path / 'evil.pth'
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r'evil\.pth is refused.*(mkdir|getattr)'):
        initialised(path)
    assert not marker.exists()
    if way == 'direct':  # the file is dangerous indeed
        torch.load(path, weights_only=False)
        assert marker.exists()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('damage', ['truncated', 'empty', 'html'])
def test_damaged_files(tmp_path, suffix, damage):
    path = tmp_path / f'weights{suffix}'
    if suffix == '.pth':
        torch.save(published().state_dict(), path)
    else:
        safetensors.torch.save_model(published(), str(path))
    whole = path.read_bytes()
    left = {'truncated': whole[: len(whole) // 2], 'empty': b'', 'html': b'<html>'}
    path.write_bytes(left[damage])
    size = len(left[damage])
    with pytest.raises(ValueError, match=rf'{path.name} \({size} bytes\) is damaged'):
        read_state_dict(path)


def test_file_without_weights(tmp_path):
    torch.save(dict(epoch=3), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='no weights found'):
        read_state_dict(tmp_path / 'x.pth')


def without(state: dict, name: str) -> dict:
    return {k: v for k, v in state.items() if k != name}


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda s: without(s, 'cls_token3'), r'missing in the file: cls_token3\. '),
        (
            lambda s: s | {'patch_embed9.bias': torch.ones(1)},
            r'unknown to the model: patch_embed9\.bias\. ',
        ),
        (
            lambda s: s | {'cls_token1': torch.ones(1, 1, 8)},
            r'other shape: cls_token1: file \(1, 1, 8\), model \(1, 1, 16\)\. ',
        ),
        (
            lambda s: s | {'cls_token1': s['cls_token1'] * torch.nan},
            r'not finite: cls_token1\. ',
        ),
        (lambda s: {'conv1.weight': torch.ones(1)}, r'is not a CoaT.*conv1\.weight'),
    ],
)
def test_incomplete_weights_are_refused_and_nothing_is_loaded(change, said):
    model = CoaT(TINY)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=said):
        load_complete(model, change(published().state_dict()), 'x.pth')
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize('other', ['small', 'lite_tiny', 'lite_small'])
def test_weights_of_another_variant_are_named(other):
    state = timm.create_model(f'coat_{other}').state_dict()
    with pytest.raises(ValueError, match=f"other shape.*looks like arch='{other}'"):
        load_complete(CoaT('lite_medium'), state, 'x.pth')


def test_small_plus1_starts_its_fifth_scale_as_the_fourth():
    torch.manual_seed(0)
    reference = timm.create_model('coat_small').state_dict()
    model = CoaT('small_plus1')
    load_complete(model, reference, 'coat_small')
    own = model.state_dict()
    shared = [name for name in own if name in reference]
    assert all(torch.equal(own[name], reference[name]) for name in shared)
    fifth = {
        'patch_embed5.proj.weight': 'patch_embed4.proj.weight',
        'serial_blocks5.1.mlp.fc2.weight': 'serial_blocks4.1.mlp.fc2.weight',
        'crpe5.conv_list.2.weight': 'crpe4.conv_list.2.weight',
        'parallel_blocks.5.factoratt_crpe5.qkv.weight': (
            'parallel_blocks.5.factoratt_crpe4.qkv.weight'
        ),
    }
    for name, source in fifth.items():
        assert name not in shared
        assert torch.equal(own[name], reference[source])
    a, b = model.patch_embed4.proj.weight, model.patch_embed5.proj.weight
    assert a.data_ptr() != b.data_ptr()  # a copy, not the same weights


def test_five_scales_from_a_file_that_stores_shared_tensors_once(tmp_path):
    safetensors.torch.save_model(published(), str(tmp_path / 'm.safetensors'))
    model = initialised(tmp_path / 'm.safetensors', TINY5)
    assert torch.equal(
        model.crpe5.conv_list[0].weight, published().crpe4.conv_list[0].weight
    )


def test_own_five_scale_weights_are_loaded_as_they_are(tmp_path):
    torch.manual_seed(3)
    reference = CoaT(TINY5)
    torch.save(reference.state_dict(), tmp_path / 'own.pth')
    assert_same_weights(initialised(tmp_path / 'own.pth', TINY5), reference)


def test_random_initialisation(caplog):
    torch.manual_seed(0)
    model = CoaT('lite_tiny')
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        model.init_weights()
        model.init_weights()
    logger.removeHandler(caplog.handler)
    assert 'no pretrained weights' in caplog.text
    assert caplog.text.count('initialised already') == 1
    assert model.cls_token1.std().item() == pytest.approx(0.02, rel=0.4)
    fc1 = model.serial_blocks2[0].mlp.fc1
    assert fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert fc1.bias.abs().max() == 0


def test_other_initialisers_are_applied_before(tmp_path):
    constant = dict(type='Constant', layer='LayerNorm', val=3)
    model = CoaT(TINY, init_cfg=[constant])
    model.init_weights()
    assert model.patch_embed1.norm.weight.unique().tolist() == [3]
    torch.save(published().state_dict(), tmp_path / 'w.pth')
    model = CoaT(TINY, init_cfg=[pretrained(tmp_path / 'w.pth'), constant])
    model.init_weights()
    assert model.patch_embed1.norm.weight.unique().tolist() == [1]


@pytest.mark.parametrize(
    'cfg', [dict(type='Pretrained'), pretrained('x.pth', strict=False)]
)
def test_wrong_init_cfg(cfg):
    with pytest.raises(ValueError, match='init_cfg of CoaT: expected the keys'):
        CoaT(TINY, init_cfg=cfg).init_weights()


class Model(BaseModel):
    def __init__(self, init_cfg):
        super().__init__()
        self.backbone = CoaT(TINY, init_cfg=init_cfg)

    def forward(self, inputs, mode):
        return dict(loss=self.backbone(torch.stack(inputs))[3].square().mean())


def run(work_dir, init_cfg, load_from=None) -> Model:
    """Train one epoch at learning rate 0."""
    data = [dict(inputs=torch.zeros(3, 32, 32))] * 2
    runner = Runner(
        Model(init_cfg),
        str(work_dir),
        train_dataloader=dict(
            dataset=data, sampler=dict(type='DefaultSampler'), batch_size=1
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)),
        load_from=load_from,
        experiment_name=str(work_dir),
    )
    runner.train()
    return runner.model


def test_runner_initialises_then_loads(tmp_path):
    reference = published(seed=5)
    torch.save(reference.state_dict(), tmp_path / 'w.pth')
    cfg = pretrained(tmp_path / 'w.pth')
    first = run(tmp_path / 'first', cfg)
    assert_same_weights(first.backbone, reference)

    checkpoint = tmp_path / 'first' / 'epoch_1.pth'
    other = published(seed=6)
    torch.save(other.state_dict(), tmp_path / 'other.pth')
    second = run(
        tmp_path / 'second', pretrained(tmp_path / 'other.pth'), str(checkpoint)
    )
    assert_same_weights(second.backbone, reference)  # load_from comes after
    # and a checkpoint of a whole training is a source of weights
    assert_same_weights(initialised(checkpoint), reference)
