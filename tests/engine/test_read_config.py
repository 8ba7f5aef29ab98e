"""Configs by path and by the name that the package gives them."""

import pytest
from mmengine.config import Config

from mmseg_ftu.engine.read_config import packaged_configs, read_config

NAME = 'tissue/coat_slim_daformer_switch.py'


def test_a_config_of_the_package_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = read_config(f'mmseg_ftu::{NAME}')
    assert cfg.filename == str(packaged_configs() / NAME)
    assert cfg.to_dict() == Config.fromfile(cfg.filename).to_dict()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            'mmseg_ftu::ftu/coat_daformer_swich.py',
            'mmseg_ftu::ftu/coat_daformer_switch',
        ),
        ('mmseg_ftu::', 'carries no such config'),
        ('mmseg_ftu', 'there is no such config'),
        ('mmseg::a/b.py', 'there is no such config'),
    ],
)
def test_a_name_that_the_package_does_not_carry(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        read_config(name)
