"""Model folders go to a hub and come back, on a hub of the test's own."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import pytest
import torch
from fake_hub import fake_hub
from mmengine.registry import init_default_scope
from slim_models import build_slim, slim_config
from small_models import noise, save

from mmseg_ftu.engine.model_hub import parse_address
from mmseg_ftu.export import publish as publishing
from mmseg_ftu.export.hub_repository import HubRepository
from mmseg_ftu.export.model_folder import export_model
from mmseg_ftu.export.publish import check_publishable, files_of, publish

LICENCES = dict(license='CC-BY-4.0', data_license='CC-BY-4.0')
PREDICT = """
import sys
import numpy as np
from mmseg_ftu import FTUPredictor
image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
for name in sys.argv[1:]:
    print(FTUPredictor(name)(image).probability.sum())
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    init_default_scope('mmseg')  # fixtures of a module come before that of each test
    work = tmp_path_factory.mktemp('publish')
    cfg = slim_config('quickstart')
    cfg.dump(work / 'slim.py')
    torch.manual_seed(0)
    model = build_slim(cfg, [torch.randn(2, 3, 64, 64)])
    checkpoint = save(model, work / 'best.pth', stain='none')
    export_model(str(checkpoint), str(work / 'glomeruli'), **LICENCES)
    return work / 'glomeruli'


def copy(folder: Path, target: Path, **changes) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    facts = json.loads((folder / 'model.json').read_text()) | changes
    (target / 'model.json').write_text(json.dumps(facts))
    return target


def run(tmp_path: Path, address: str, *words: str) -> subprocess.CompletedProcess:
    """Run Python with a fresh cache and the hub's address."""
    settings = dict(
        HF_ENDPOINT=address,
        HF_HOME=str(tmp_path / 'cache'),
        HF_TOKEN='hf_of_the_test',
        HF_HUB_OFFLINE='0',
        HF_HUB_DISABLE_XET='1',
    )
    return subprocess.run(
        [sys.executable, '-W', 'ignore', *words],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )


def test_a_model_goes_to_the_hub_and_comes_back(folder, tmp_path):
    (folder / 'notes.txt').write_text('mine')
    names = ['README.md', 'config.json', 'model.json', 'model.safetensors']
    with fake_hub() as hub:
        own = {'model.json': b'{"made_by": "mmseg_ftu"}', 'images/9.png': b'old'}
        hub.repositories['ada/glomeruli'] = own | {'mine.txt': b'x'}
        words = 'tools/publish.py', str(folder), 'hf://ada/glomeruli'
        done = run(tmp_path, hub.address, *words)
        assert done.returncode == 0, (done.stderr, hub.asked)
        assert 'sent: ' in done.stdout + done.stderr
        there = hub.repositories['ada/glomeruli']
        assert sorted(there) == sorted([*names, 'mine.txt'])
        for name in names:
            assert there[name] == (folder / name).read_bytes()
        sources = 'hf://ada/glomeruli', str(folder), f'hf://ada/glomeruli@{"1" * 40}'
        done = run(tmp_path, hub.address, '-c', PREDICT, *sources)
        assert done.returncode == 0, done.stderr
        assert len({*done.stdout.split()[-3:]}) == 1
        assert not any('mine.txt' in line for line in hub.asked)
    # without a network what is in the cache is enough
    done = run(tmp_path, hub.address, '-c', PREDICT, 'hf://ada/glomeruli')
    assert done.returncode == 0, done.stderr


@pytest.fixture
def hub(monkeypatch):
    """Give a hub that this process publishes to, without waiting between tries."""
    monkeypatch.setattr('huggingface_hub.utils._http.time.sleep', lambda seconds: None)
    monkeypatch.setenv('HF_TOKEN', 'hf_of_the_test')
    with fake_hub() as hub:
        there = partial(HubRepository, endpoint=hub.address)
        monkeypatch.setattr(publishing, 'HubRepository', there)
        yield hub


@pytest.mark.parametrize(
    ('end', 'status', 'error', 'said'),
    [
        ('/commit/main', 401, OSError, 'Log in with `hf auth login`'),
        ('/commit/main', 403, OSError, 'Log in with `hf auth login`'),
        ('/repos/create', 403, OSError, 'Log in with `hf auth login`'),
        ('/commit/main', 412, OSError, 'It was changed at the same time'),
        ('/commit/main', 500, OSError, 'No file was changed there; try again later'),
        ('/commit/main', 0, OSError, 'No file was changed there; try again later'),
        ('/validate-yaml', 400, ValueError, 'Mend the name or the card'),
    ],
)
def test_faults_of_the_hub_are_told(folder, hub, end, status, error, said):
    hub.faults[end] = status
    if end != '/repos/create':
        hub.repositories['ada/glomeruli'] = {}
    with pytest.raises(error, match=f'did not take ada/glomeruli .*{said}'):
        publish(folder, 'hf://ada/glomeruli')
    assert not hub.repositories.get('ada/glomeruli')


def test_a_branch_that_moved_is_not_written(folder, hub):
    hub.repositories['ada/glomeruli'] = {}
    hub.moves = True
    with pytest.raises(OSError, match='It was changed at the same time'):
        publish(folder, 'hf://ada/glomeruli')


def test_files_of_others_stay(folder, hub):
    others = {'README.md': b'mine', 'images/1.png': b'mine', 'model.json': b'{}'}
    hub.repositories['ada/x'] = dict(others)
    with pytest.raises(ValueError, match=r'holds README\.md, model\.json, and its mod'):
        publish(folder, 'hf://ada/x')
    assert hub.repositories['ada/x'] == others
    publish(folder, 'hf://ada/x', overwrite=True)
    there = hub.repositories['ada/x']
    assert there['README.md'] == (folder / 'README.md').read_bytes()
    assert there['images/1.png'] == b'mine'


def test_nothing_private_goes_to_a_public_repository(folder, hub):
    hub.repositories['ada/x'] = {}
    with pytest.raises(ValueError, match='ada/x is there already and public'):
        publish(folder, 'hf://ada/x', private=True)
    assert hub.repositories['ada/x'] == {}
    hub.public = False
    publish(folder, 'hf://ada/x', private=True)
    assert 'model.json' in hub.repositories['ada/x']


@pytest.mark.parametrize('revision', ['1' * 40, 'refs/pr/1'])
def test_what_is_no_branch(folder, revision):
    with pytest.raises(ValueError, match=f'{revision} cannot be written to'):
        publish(folder, f'hf://ada/x@{revision}', dry_run=True)


def test_what_the_hub_refuses_is_told(folder, tmp_path):
    with fake_hub() as hub:
        hub.refuses = True
        words = 'tools/publish.py', str(folder), 'hf://ada/glomeruli'
        done = run(tmp_path, hub.address, *words)
        assert done.returncode == 2
        assert 'did not take ada/glomeruli' in done.stderr
        assert 'hf auth login' in done.stderr
        cv2.imwrite(str(tmp_path / 'x.png'), noise())
        image = str(tmp_path / 'x.png')
        words = 'tools/predict.py', 'hf://ada/none', '--input', image
        done = run(tmp_path, hub.address, *words, '--output', str(tmp_path / 'out'))
        assert done.returncode == 2
        assert 'hf://ada/none is not in the cache' in done.stderr
        assert not (tmp_path / 'out').exists()


def test_a_dry_run_sends_nothing(folder, monkeypatch):
    said = []
    monkeypatch.setattr(publishing, 'print_log', lambda text, *_: said.append(text))
    monkeypatch.setattr(publishing, 'HubRepository', None)
    publish(folder, 'hf://ada/glomeruli@next', dry_run=True)
    assert said[0].startswith('hf://ada/glomeruli@next, 4 files:')
    assert 'model.safetensors' in said[0]
    assert said[1] == '--dry-run: nothing was sent'


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (dict(license=None), 'licence of the weights: export it again with --license'),
        (dict(data_license=''), 'licence of the data: export it again with --data'),
        (
            dict(license=None, data_license=None),
            'the weights and the data: export it again with --license and --data-lic',
        ),
        (
            dict(sha256='0'),
            r'model\.safetensors: its SHA-256 is not that in',
        ),
    ],
)
def test_what_may_not_be_published(folder, tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        check_publishable(copy(folder, tmp_path / 'm', **changes))


def test_links_and_added_pictures_are_not_sent(folder, tmp_path):
    other = copy(folder, tmp_path / 'm')
    (other / 'images').mkdir()
    (tmp_path / 'secret.txt').write_text('secret')
    for name in ('patient.png', '2.png'):  # the second one is named as ours are
        (other / 'images' / name).write_bytes(b'x')
        with pytest.raises(ValueError, match=rf'added to it or replaced: {name}'):
            files_of(other)
        (other / 'images' / name).unlink()
    (other / 'images' / '1.png').symlink_to(tmp_path / 'secret.txt')
    with pytest.raises(ValueError, match=r'images/1\.png is a link'):
        files_of(other)
    (other / 'images' / '1.png').unlink()
    (other / 'README.md').unlink()
    (other / 'README.md').symlink_to(tmp_path / 'secret.txt')
    with pytest.raises(ValueError, match=r'README\.md is a link'):
        files_of(other)


def test_a_folder_without_a_card_or_at_all(folder, tmp_path):
    other = copy(folder, tmp_path / 'm')
    (other / 'README.md').unlink()
    with pytest.raises(ValueError, match='the model card, is missing'):
        check_publishable(other)
    with pytest.raises(ValueError, match='there is no such folder'):
        check_publishable(tmp_path / 'none')


def test_addresses():
    assert parse_address('hf://ada/x') == ('ada/x', None)
    assert parse_address('hf://ada/x@v1.0') == ('ada/x', 'v1.0')
    for bad in ('ada/x', 'hf://ada', 'hf://ada/x/file', 'hf://ada/x@', 'hf:///x'):
        with pytest.raises(ValueError, match='expected hf://OWNER/REPO'):
            parse_address(bad)


@pytest.mark.parametrize(
    'address', ['hf://../b', 'hf://ada/b..c', 'hf://-a/b', 'hf://a/b.git', 'hf://ä/b']
)
def test_names_that_the_hub_does_not_take(folder, address):
    with pytest.raises(ValueError, match='no name of a repository'):
        publish(folder, address, dry_run=True)


@pytest.mark.parametrize('branch', ['-x', '/x'])
def test_names_that_are_no_branch(folder, branch):
    with pytest.raises(ValueError, match='name a branch'):
        publish(folder, f'hf://ada/b@{branch}', dry_run=True)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', 'does not begin with the block'),
        ('# My model\n', 'does not begin with the block'),
        ('---\ntags: [a]\n---\n', 'does not begin with the block'),
        ('---\nlicense: [mit\n---\n', 'can not be read'),
        ('---\nlicense: mit\n---\n![x](images/7.png)\n', r'shows images/7\.png'),
    ],
)
def test_cards_that_the_hub_could_not_show(folder, tmp_path, text, said):
    other = copy(folder, tmp_path / 'm')
    (other / 'README.md').write_text(text)
    with pytest.raises(ValueError, match=said):
        check_publishable(other)


def test_a_card_of_ones_own_is_sent(folder, tmp_path):
    other = copy(folder, tmp_path / 'm')
    (other / 'README.md').write_text('---\nlicense: mit\n---\n# My words\n')
    check_publishable(other)


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('model.backbone', None),
        ('model.backbone.out_indices', [99]),
        ('inference.views', []),
        ('thresholds', {'default': 7}),
        ('model.data_preprocessor.std', [0, 0, 0]),
    ],
)
def test_a_model_that_cannot_be_used_is_not_sent(folder, tmp_path, path, value):
    other = copy(folder, tmp_path / 'm')
    config = json.loads((other / 'config.json').read_text())
    place, (*parents, last) = config, path.split('.')
    for key in parents:
        place = place.setdefault(key, {})
    if path == 'thresholds':
        config['test_evaluator'] = dict(config['test_evaluator'], thresholds=value)
    elif value is None:
        del place[last]
    else:
        place[last] = value
    (other / 'config.json').write_text(json.dumps(config))
    with pytest.raises(ValueError, match='the model cannot be used'):
        check_publishable(other)


@pytest.mark.parametrize(
    'changes', [dict(made_by='x'), dict(name=['x']), dict(name='')]
)
def test_facts_that_were_changed(folder, tmp_path, changes):
    with pytest.raises(ValueError, match='was changed: export it again'):
        check_publishable(copy(folder, tmp_path / 'm', **changes))
