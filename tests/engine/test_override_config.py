"""``--cfg-options`` with keys that the config does not have, by the command line."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from small_models import dark, save, small_config

from mmseg_ftu.cli import run_command
from mmseg_ftu.engine.override_config import override_config


@pytest.fixture(scope='module')
def words(tmp_path_factory):
    """The arguments of predict, but for the folder of results."""
    root = tmp_path_factory.mktemp('model')
    cfg = small_config(kernel_size=1)
    cfg.optim_wrapper = dict(optimizer=dict(lr=0.1))
    cfg.dump(root / 'config.py')
    about = dict(size=32, pixel_size=1.0, stain=None)
    checkpoint = save(dark(cfg), root / 'dark.pth', preparation=about)
    cv2.imwrite(str(root / 'a.png'), np.full((32, 32, 3), 200, np.uint8))
    input = ['--input', str(root / 'a.png'), '--device', 'cpu']
    return [str(root / 'config.py'), str(checkpoint), *input]


def predict(words, tmp_path, *options):
    more = ['--output', str(tmp_path / 'out'), '--cfg-options', *options]
    return run_command('predict', [*words, *more])


def warnings_in(text):
    return [line for line in text.splitlines() if line.startswith('warning: ')]


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (
            ['optim_wrapper.optimizer.lrr=1'],
            'warning: --cfg-options optim_wrapper.optimizer.lrr: the config has no '
            'optim_wrapper.optimizer.lrr, so it was added; did you mean '
            'optim_wrapper.optimizer.lr?',
        ),
        (
            ['optim_wrap.optimizer.lr=1', 'optim_wrap.a=2'],  # one line for both
            'warning: --cfg-options optim_wrap.optimizer.lr: the config has no '
            'optim_wrap, so it was added; did you mean optim_wrapper?',
        ),
        (
            ['xyz.a.b=1'],
            'warning: --cfg-options xyz.a.b: the config has no xyz, so it was added',
        ),
    ],
)
def test_a_key_that_is_not_there_is_told(words, tmp_path, capsys, options, expected):
    assert predict(words, tmp_path, *options) == 0
    assert warnings_in(capsys.readouterr().err) == [expected]


@pytest.mark.parametrize(
    'option',
    [
        'optim_wrapper.optimizer.lr=1',
        'model.backbone.channels=4',  # not in the config; its class takes it
        'model.decode_head.align_corners=True',  # a base of its class does
        'inference.views=[identity]',
        'sync_bn=torch',
    ],
)
def test_known_keys_are_no_surprise(words, tmp_path, capsys, option):
    assert predict(words, tmp_path, option) == 0
    assert warnings_in(capsys.readouterr().err) == []


def test_a_key_that_the_class_does_not_take(words, tmp_path, capsys):
    assert predict(words, tmp_path, 'model.backbone.chanels=4') == 2
    error = capsys.readouterr().err
    assert 'has no model.backbone.chanels, so it was added' in error


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('model.backbone.kernel_size.a=1', 'is 1 in the config, which holds no'),
        ('custom_imports.imports.7=x', 'is a list of 2 in the config, counted from 0'),
        ('custom_imports.imports.x.y=1', "has no 'x'"),
        ('custom_imports.imports.0=x', '--cfg-options custom_imports.imports.0'),
    ],
)
def test_keys_that_lead_nowhere(words, tmp_path, capsys, option, message):
    assert predict(words, tmp_path, option) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: --cfg-options ')
    assert message in line


def test_a_dict_that_is_replaced_is_no_surprise(capsys):
    cfg = Config(dict(a=dict(type='Old', lr=1)))
    override_config(cfg, {'a._delete_': True, 'a.type': 'New', 'a.rate': 2})
    assert cfg.a == dict(type='New', rate=2)
    assert capsys.readouterr().err == ''


def test_one_of_several_processes_speaks(capsys, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    for rank in '10':
        monkeypatch.setenv('RANK', rank)
        override_config(Config(dict(a=1)), {'b': 2})
        assert ('so it was added' in capsys.readouterr().err) == (rank == '0')
