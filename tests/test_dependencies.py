"""The guard against libraries that can't carry the plug-in, in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quick_and_slow import mostly_slow

ROOT = Path(__file__).resolve().parents[1]


def run_python(code, *paths):
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([*map(str, paths), str(ROOT)]))
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=env
    )


@pytest.mark.parametrize(
    ('name', 'text', 'expected'),
    [
        ('mmcv', "__version__ = '1.7.2'", 'mmcv 1.7.2 is installed'),
        ('mmengine', "__version__ = '0.7.0'", 'mmengine 0.7.0 is installed'),
        ('mmseg', "__version__ = '0.30.0'", 'mmseg'),
        (
            'mmcv',
            "raise ModuleNotFoundError('no compiled ops')",
            'mmcv can not be imported (no compiled ops)',
        ),
    ],
)
def test_unusable_library_is_refused_with_what_to_install(
    tmp_path, name, text, expected
):
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').write_text(text)
    done = run_python('import mmseg_ftu.plugin', tmp_path)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert expected in last
    assert "pip install 'onedl-mm" in last


def test_import_is_quiet_and_registers_everything():
    code = """
import mmseg_ftu.plugin
from mmseg.registry import *
for registry, names in {
    MODELS: 'CoaT DAFormerHead AuxiliaryHead BinaryEncoderDecoder BinarySegTTAModel',
    HOOKS: 'SwitchAuxHook ResumableCheckpointHook EpochSeedHook',
    DATASETS: 'HuBMAPDataset',
    DATA_SAMPLERS: 'EpochSeededSampler',
    TRANSFORMS: 'StrictAlbu RestoreOriginalShape',
    METRICS: 'FTUDiceMetric',
    VISUALIZERS: 'FTULocalVisualizer',
}.items():
    for name in names.split():
        assert registry.get(name).__module__.startswith('mmseg_ftu'), name
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ''
    assert done.stderr == ''


def test_only_the_two_known_messages_are_hidden():
    code = """
import warnings
from mmseg_ftu.dependencies import quiet_imports
with quiet_imports():
    print('Could not import OneDL')
    print('something else')
    warnings.warn('Fail to import ``MultiScaleDeformableAttention`` from mmcv')
    warnings.warn('another')
"""
    done = run_python(code)
    assert done.stdout == 'something else\n'
    assert 'another' in done.stderr
    assert 'MultiScale' not in done.stderr


@pytest.mark.parametrize(
    'imports',
    mostly_slow(
        [
            'mmseg, mmseg_ftu',
            'mmengine.config, mmseg_ftu',
            'mmseg_ftu, mmseg_ftu.plugin',
        ],
        ['mmseg, mmseg_ftu'],
    ),
)
def test_everything_is_registered_where_openmmlab_is_there(imports):
    code = f'import {imports}\nfrom mmseg.registry import HOOKS, MODELS\n'
    code += "print(None in [MODELS.get('CoaT'), HOOKS.get('CheckStainHook')])"
    done = run_python(code)
    assert done.stdout.strip() == 'False', done.stderr


def test_rooms_are_found_by_attribute():
    code = 'import mmseg_ftu\nprint(mmseg_ftu.evaluation.FTUDiceMetric.__name__)'
    assert run_python(code).stdout.strip() == 'FTUDiceMetric'
