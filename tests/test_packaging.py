"""The wheel, the recipe of the image, and pins that stand in two places."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmseg_ftu.cli import COMMANDS
from mmseg_ftu.version import __version__

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Build a wheel from a copy of what git tracks."""
    source = tmp_path_factory.mktemp('source of wheel')
    listed = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split('\0')):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--quiet']
    command += ['--no-build-isolation', '--wheel-dir', str(source / 'out'), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = (source / 'out').glob('*.whl')
    return built


def test_wheel_holds_the_package_and_its_configs_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split('/')[0] for name in names}
    assert {top for top in tops if not top.endswith('.dist-info')} == {'mmseg_ftu'}
    assert 'mmseg_ftu/.mim/configs/ftu/coat_daformer_switch.py' in names
    assert 'mmseg_ftu/.mim/configs/_base_/switch.py' in names
    assert 'mmseg_ftu/.mim/tools/train.py' in names
    assert 'mmseg_ftu/report/templates/page.html' in names
    assert 'mmseg_ftu/view/static/main.js' in names
    assert 'mmseg_ftu/view/static/openseadragon/LICENSE.txt' in names
    assert 'mmseg_ftu/py.typed' in names
    modules = {str(p.relative_to(ROOT)) for p in ROOT.glob('mmseg_ftu/**/*.py')}
    assert {m for m in modules if '/.mim/' not in m} <= set(names)
    assert not any(name.endswith('.pyc') for name in names)


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory):
    """Install the wheel alone and return a function that runs Python with it."""
    site, elsewhere = (tmp_path_factory.mktemp(name) for name in ('site', 'away'))
    command = [sys.executable, '-m', 'pip', 'install', '--no-deps', '--quiet']
    subprocess.run([*command, '--target', str(site), str(wheel)], check=True)

    def run(*words):
        return subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=elsewhere,
            env={'PYTHONPATH': str(site), 'PATH': '', 'OMP_NUM_THREADS': '1'},
        )

    return run, site, elsewhere


@pytest.mark.slow
def test_packaged_configs_can_be_a_base(installed):
    run, site, elsewhere = installed
    name = 'mmseg_ftu::ftu/coat_daformer_switch.py'
    (elsewhere / 'mine.py').write_text(f"_base_ = '{name}'\nmine = 1\n")
    code = f"""
import mmseg_ftu.plugin
from mmseg_ftu.engine.read_config import read_config
mine, base = read_config('mine.py'), read_config('{name}')
assert mine.pop('mine') == 1
assert mine.to_dict() == base.to_dict()
assert base.custom_hooks[0].type == 'SwitchAuxHook'
print(base.filename)
"""
    done = run('-c', code)
    assert done.returncode == 0, done.stderr
    configs = site / 'mmseg_ftu' / '.mim' / 'configs'
    assert done.stdout.strip() == str(configs / 'ftu' / 'coat_daformer_switch.py')


@pytest.mark.slow
def test_an_installed_package_predicts_from_anywhere(installed):
    run, _, elsewhere = installed
    cv2.imwrite(str(elsewhere / 'a.png'), np.full((64, 64, 3), 200, np.uint8))
    (elsewhere / 'mine.py').write_text(
        "_base_ = 'mmseg_ftu::tissue/coat_slim_daformer_switch.py'\n"
        "inference = dict(views=['identity'])\n"
    )
    code = """
import mmseg_ftu.plugin
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg_ftu.engine.read_config import read_config
init_default_scope('mmseg')
torch.save(MODELS.build(read_config('mine.py').model).state_dict(), 'a.pth')
"""
    done = run('-c', code)
    assert done.returncode == 0, done.stderr
    words = 'predict mine.py a.pth --input a.png --output out --device cpu'
    code = 'import sys; from mmseg_ftu.cli import main; sys.exit(main())'
    done = run('-c', code, *words.split())
    assert done.returncode == 0, done.stderr
    assert (elsewhere / 'out' / 'masks' / 'a.png').is_file()


@pytest.mark.parametrize(
    ('linter', 'files'),
    [
        ('hadolint', ['docker/Dockerfile']),
        ('shellcheck', [*(f'tools/{n}' for n in ('dist_train.sh', 'dist_test.sh'))]),
        ('shellcheck', ['tools/slurm_train.sh', '.ci/run']),
    ],
)
def test_recipes_pass_their_linters(linter, files):
    program = shutil.which(linter, path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip(f'{linter} is not installed (extra dev)')
    done = subprocess.run(
        [program, *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_image_copies_what_there_is():
    text = (ROOT / 'docker' / 'Dockerfile').read_text()
    lines = re.findall(r'^COPY (?!--from)(.+)$', text, re.M)
    sources = [s for line in lines for s in line.split()[:-1]]
    assert len(sources) >= 5
    assert all((ROOT / source).exists() for source in sources)
    ignored = (ROOT / '.dockerignore').read_text().split()
    assert not {*sources} & {*ignored}


def test_the_image_can_be_used_by_anybody():
    """``--user`` has no home and may not write where the image's user may."""
    last = (ROOT / 'docker' / 'Dockerfile').read_text().rpartition('\nFROM ')[2]
    variables = dict(re.findall(r'(\w+)=(\S+)', last))
    folders = ('HOME', 'HF_HOME', 'TORCH_HOME', 'TORCHINDUCTOR_CACHE_DIR')
    for name in (*folders, 'MPLCONFIGDIR'):
        assert variables[name].startswith('/cache'), name
    assert 'chmod 1777 data work_dirs /cache' in last
    assert variables['USER']  # getpass asks for it where there is no entry
    assert f'VERSION={__version__}' in last


def test_commands_of_compose_are_there():
    recipe = yaml.safe_load((ROOT / 'docker' / 'compose.yaml').read_text())
    assert (ROOT / 'docker' / recipe['x-mmseg-ftu']['build']['context']).resolve() == (
        ROOT
    )
    for service in recipe['services'].values():
        program, command, *words = service['command']
        assert program == 'mmseg-ftu'
        assert command in COMMANDS
        options = [word for word in words if word.startswith('--')]
        described = subprocess.run(
            [sys.executable, '-m', 'mmseg_ftu', command, '--help'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert all(option in described for option in options)
    default = re.search(r'CONFIG:-(.+?)}', str(recipe['services']['train']))[1]
    assert (ROOT / default).is_file()


def test_pins_that_stand_in_two_places_agree():
    """Lint in pre-commit and in make, torch in the image and in make."""
    metadata = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    (rev,) = [hook['rev'] for hook in hooks if 'ruff' in hook['repo']]
    assert f'ruff=={rev[1:]}' in metadata['optional-dependencies']['dev']
    torch = re.search(r'^TORCH \?= (.+)$', (ROOT / 'Makefile').read_text(), re.M)[1]
    assert f'pip install {torch}\n' in (ROOT / 'docker' / 'Dockerfile').read_text()
    versions = re.findall(r'Python :: (3\.\d+)', str(metadata['classifiers']))
    workflow = (ROOT / '.github' / 'workflows' / 'tests.yml').read_text()
    assert f'python: {versions}' in workflow
    (version,) = re.findall(
        r'^version: (.+)$', (ROOT / 'CITATION.cff').read_text(), re.M
    )
    assert version == __version__


def pins_of(name):
    """Return the versions that a file of constraints pins, by canonical name."""
    lines = (ROOT / name).read_text().splitlines()
    found = [line.split('==') for line in lines if line and not line.startswith('#')]
    return {canonicalize_name(name): version for name, version in found}


def test_lowest_versions_are_the_bounds_of_the_metadata():
    """Otherwise `make test-lowest` tests versions other than those admitted."""
    metadata = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    slides = metadata['optional-dependencies']['slides']
    bounds = {}
    for requirement in map(Requirement, [*metadata['dependencies'], *slides]):
        lowest = [
            s.version for s in requirement.specifier if s.operator in ('>=', '==')
        ]
        assert len(lowest) == 1, f'{requirement} has no lower bound'
        bounds[canonicalize_name(requirement.name)] = lowest[0]
    assert pins_of('tests/lowest.txt') == bounds


def test_versions_of_the_image_are_admitted():
    metadata = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    extras = [
        requirement
        for name in ('slides', 'staintools', 'offline-weights')
        for requirement in metadata['optional-dependencies'][name]
    ]
    pins = pins_of('docker/constraints.txt')
    admitted = map(Requirement, [*metadata['dependencies'], *extras])
    pinned = [r for r in admitted if r.name not in ('torch', 'torchvision')]
    assert len(pinned) > 20
    for requirement in pinned:  # those two the Dockerfile pins
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_command_of_the_image_is_there():
    """What the image runs, and the files that its page names, in the image's folder."""
    scripts = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['scripts']
    last = (ROOT / 'docker' / 'Dockerfile').read_text().rpartition('\nFROM ')[2]
    program, *words = json.loads(re.search(r'^CMD (.+)$', last, re.M)[1])
    assert program in scripts
    assert words == ['--help']
    copied = re.findall(r'^COPY (?!--from)(\S+) \S+$', last, re.M)
    page = (ROOT / 'docker' / 'README.md').read_text()
    named = re.findall(r'\b(?:tools|configs)/[\w/]+\.py', page)
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name
        assert name.split('/')[0] in copied, name


def test_each_extra_is_described():
    metadata = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    page = (ROOT / 'docs' / 'start.md').read_text()
    rows = re.findall(r'^\| (`.+?) \|', page, re.M)
    described = [name for row in rows for name in re.findall(r'`([\w-]+)`', row)]
    assert sorted(described) == sorted(metadata['optional-dependencies'])


def test_the_quickstart_leaves_an_earlier_run_on_own_tissue():
    """It is refused instead: `make -n` prints the commands and runs none."""
    command = ['make', '-n', 'quickstart', 'DATA=folder', 'PY=true']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert any('quickstart_own holds an earlier run' in line for line in lines)
    assert not any('rm -rf' in line for line in lines)
