"""What a release is made of: its notes, and the workflow that publishes it."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from mmseg_ftu.version import __version__

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
CHANGELOG = """# Changelog

## [1.1.0] - unreleased

- New.

## [1.0.0] - 2026-05-31

### Fixed

- Old.

## [0.9.0] - 2026-01-01
"""


@pytest.fixture(scope='module')
def script():
    """Load ``.github/release_notes.py``, which is in no package."""
    path = ROOT / '.github' / 'release_notes.py'
    spec = importlib.util.spec_from_file_location('release_notes', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path):
    """Return a function that makes a repository of a version."""

    def make(version):
        (tmp_path / 'mmseg_ftu').mkdir()
        text = f"__version__ = '{version}'\n"
        (tmp_path / 'mmseg_ftu' / 'version.py').write_text(text)
        (tmp_path / 'CHANGELOG.md').write_text(CHANGELOG)
        return tmp_path

    return make


def test_notes_are_the_section_of_the_version(script, repository):
    notes = script.release_notes('v1.0.0', repository('1.0.0'))
    assert notes == '### Fixed\n\n- Old.'


@pytest.mark.parametrize(
    ('tag', 'version', 'fault'),
    [
        ('v1.0.1', '1.0.0', 'the tag is v1.0.1, the version of the package 1.0.0'),
        ('1.0.0', '1.0.0', 'the tag is 1.0.0'),
        ('v2.0.0', '2.0.0', r'has 0 sections \[2.0.0\]'),
        ('v1.1.0', '1.1.0', "is dated 'unreleased'; give the day"),
        ('v0.9.0', '0.9.0', r'the section \[0.9.0\] is empty'),
    ],
)
def test_a_release_that_is_not_ready_is_refused(
    script, repository, tag, version, fault
):
    with pytest.raises(ValueError, match=fault):
        script.release_notes(tag, repository(version))


def test_version_and_changelog_of_this_repository_can_be_read(script):
    source = (ROOT / 'mmseg_ftu' / 'version.py').read_text()
    assert script.version_of(source) == __version__
    changelog = (ROOT / 'CHANGELOG.md').read_text()
    newest = script.HEADING.search(changelog)
    assert newest['version'] == __version__
    dated = changelog.replace(newest[0], f'## [{__version__}] - 2026-05-31', 1)
    assert script.notes_of(dated, __version__)


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path):
    used = re.findall(r'uses: (\S+)(.*)', path.read_text())
    assert used
    for action, comment in used:
        if not action.startswith('./'):
            assert re.fullmatch(r'[\w/-]+@[0-9a-f]{40}', action), action
            assert re.fullmatch(r' # v\d+\.\d+\.\d+', comment), action


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_targets_and_scripts_of_workflows_are_there(path):
    jobs = yaml.safe_load(path.read_text())['jobs']
    steps = [step for job in jobs.values() for step in job.get('steps', [])]
    commands = '\n'.join(step.get('run', '') for step in steps)
    targets = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.M)
    assert set(re.findall(r'\bmake ([a-z-]+)', commands)) <= set(targets)
    scripts = re.findall(r'python3? (\S+\.py)', commands)
    assert all((ROOT / script).is_file() for script in scripts)


def test_only_tested_packages_are_published_and_without_a_password():
    jobs = yaml.safe_load((ROOT / '.github/workflows/release.yml').read_text())['jobs']
    order = {name: job.get('needs') for name, job in jobs.items()}
    assert order == {
        'notes': None,
        'test': 'notes',
        'build': 'test',
        'publish': 'build',
        'release': 'publish',
    }
    assert jobs['publish']['permissions'] == {'id-token': 'write'}
    assert jobs['publish']['environment'] == 'pypi'
    assert 'password' not in str(jobs['publish'])
