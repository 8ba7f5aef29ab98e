"""No scheme of mmengine unpickles what a stranger wrote."""

import os
import re
import shutil
import sys
from types import ModuleType

import pytest
import torch
from mmengine.fileio import BaseStorageBackend
from mmengine.fileio.backends.registry_utils import backends
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_external_models, get_mmcls_models

from mmseg_ftu.engine.safe_checkpoints import RefusedCheckpointError


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def first(urls):
    return next(name for name, url in urls.items() if url.startswith('http'))


NAMES = [
    'local.pth',
    'http://example.org/a.pth',
    'https://example.org/a.pth',
    'torchvision://resnet18',
    'modelzoo://resnet18',
    f'open-mmlab://{first(get_external_models())}',
    f'openmmlab://{first(get_external_models())}',
    'open-mmlab://in_the_home',
    f'mmcls://{first(get_mmcls_models())}',
    'pavi://folder/model.pth',
    's3://bucket/a.pth',
    'cluster:s3://bucket/a.pth',
    'petrel://bucket/a.pth',
]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Return the file that every scheme fetches, in place of network and stores."""
    file = tmp_path / 'local.pth'
    home = tmp_path / 'home'
    home.mkdir()
    (home / 'open_mmlab.json').write_text('{"in_the_home": "kept.pth"}')
    monkeypatch.setenv('MMENGINE_HOME', str(home))
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, path, *_, **__: shutil.copy(file, path),
    )

    class Store(BaseStorageBackend):
        def get(self, filepath):
            return file.read_bytes()

        def get_text(self, filepath, encoding='utf-8'):
            raise NotImplementedError

    class Model:
        name = 'model.pth'

        def download(self, path):
            shutil.copy(file, path)

    pavi = ModuleType('pavi')
    pavi.modelcloud = type('Cloud', (), dict(get=staticmethod(lambda _: Model())))
    monkeypatch.setitem(sys.modules, 'pavi', pavi)
    monkeypatch.setitem(backends, 'petrel', Store)
    monkeypatch.chdir(tmp_path)

    def serve(content):
        torch.save(content, file)
        shutil.copy(file, home / 'kept.pth')

    return serve


@pytest.mark.parametrize('name', NAMES)
def test_a_malicious_file_is_refused(name, served, tmp_path):
    proof = tmp_path / 'proof'
    served(dict(state_dict={}, extra=Bomb(str(proof))))
    with pytest.raises(RefusedCheckpointError, match='is refused: besides weights'):
        CheckpointLoader.load_checkpoint(name, 'cpu')
    assert not proof.exists()


@pytest.mark.parametrize('name', NAMES)
def test_an_honest_file_is_loaded(name, served):
    served(dict(state_dict={'backbone.weight': torch.ones(2)}))
    state = CheckpointLoader.load_checkpoint(name, 'cpu')['state_dict']
    (key,) = state
    assert key == ('weight' if name.startswith('mmcls') else 'backbone.weight')
    assert state[key].tolist() == [1, 1]


@pytest.mark.parametrize('scheme', ['torchvision', 'open-mmlab', 'mmcls'])
def test_an_unknown_model_is_named(scheme, served):
    with pytest.raises(ValueError, match=f'{scheme}://resnet18_: no such model'):
        CheckpointLoader.load_checkpoint(f'{scheme}://resnet18_', 'cpu')


def test_all_schemes_are_known():
    """A scheme that mmengine adds has to be closed, too."""
    for scheme in CheckpointLoader._schemes:
        is_ours = scheme in ('', 'hf://')
        assert any(re.match(scheme, name) for name in NAMES[1:]) or is_ours
