"""Folders of an ensemble are compared, since weights fit any normalisation."""

import json
import logging

import pytest
from mmengine.config import Config

from mmseg_ftu.inference import check_members as module
from mmseg_ftu.inference.check_members import check_members, difference

MODEL = dict(
    type='BinaryEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[1.0, 2.0, 3.0]),
)


@pytest.fixture
def make_folder(tmp_path):
    """Return a function that writes a model folder without usable weights."""

    def make(name, **preprocessor):
        folder = tmp_path / name
        folder.mkdir()
        model = MODEL | dict(
            data_preprocessor=MODEL['data_preprocessor'] | preprocessor
        )
        (folder / 'config.json').write_text(json.dumps(dict(model=model)))
        (folder / 'model.json').write_text('{"format": 1}')
        (folder / 'model.safetensors').write_bytes(b'')
        return folder

    return make


def test_other_normalisations_are_refused(make_folder):
    one, same = make_folder('one'), make_folder('same')
    other = make_folder('other', mean=[0.0, 2.0, 3.0])
    check_members(one, [one, same])
    check_members(one, [str(one), 'run/best.pth'])
    said = r'other is of another network than .*one: their model\.data_preprocessor\.m'
    with pytest.raises(ValueError, match=said):
        check_members(one, [one, same, other])


def test_a_folder_that_only_gives_the_config_is_told(make_folder, monkeypatch):
    said = []
    monkeypatch.setattr(module, 'print_log', lambda *args: said.append(args))
    one, same = make_folder('one'), make_folder('same')
    check_members(one, [one, same])
    check_members('config.py', ['x.pth'])
    check_members(Config(), ['x.pth'])
    assert said == []
    check_members(one, [same])
    ((text, _, level),) = said
    assert 'one gives the config, and its weights are not used' in text
    assert level == logging.WARNING


@pytest.mark.parametrize(
    ('one', 'other', 'expected'),
    [
        (dict(a=1), dict(a=1), None),
        (dict(a=1), dict(a=2), 'm.a'),
        (dict(a=1), dict(a=1, b=0), 'm.b'),
        (dict(a=dict(c=[1])), dict(a=dict(c=[1, 2])), 'm.a.c'),
        (dict(a=1), [1], 'm'),
    ],
)
def test_the_place_of_a_difference(one, other, expected):
    assert difference(one, other, 'm') == expected
