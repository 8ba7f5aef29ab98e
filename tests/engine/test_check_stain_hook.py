"""A model is tested on data normalised as it was trained, in a real Runner."""

import pytest
import torch
from mmengine.config import Config
from tiny_run import Squares, build, tiny_config

from mmseg_ftu.engine.check_stain_hook import CheckStainHook

TEST = dict(test_cfg=dict(type='TestLoop'), test_evaluator=dict(type='FTUDiceMetric'))


def config(work_dir, monkeypatch, stain: str | None, **overrides) -> Config:
    metainfo = dict(Squares.metainfo)
    if stain is not None:
        metainfo['stain'] = stain
    monkeypatch.setattr(Squares, 'metainfo', metainfo)
    cfg = tiny_config(work_dir, **overrides)
    cfg.train_cfg.max_epochs = 3
    cfg.default_hooks.check_stain = dict(type='CheckStainHook')
    cfg.test_dataloader = cfg.val_dataloader
    cfg.merge_from_dict(TEST)
    return cfg


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train on stains 'a' and return the checkpoint."""
    build(config(tmp_path / 'train', monkeypatch, 'a')).train()
    path = tmp_path / 'train' / 'epoch_3.pth'
    meta = torch.load(path, weights_only=False)['meta']
    assert meta['dataset_meta']['stain'] == 'a'
    return str(path)


def test_the_same_stains_pass_and_others_are_refused(trained, tmp_path, monkeypatch):
    def test_on(stain, **overrides):
        cfg = config(tmp_path / f'test_{stain}', monkeypatch, stain, **overrides)
        cfg.load_from = trained
        return build(cfg).test()

    assert 'Dice' in test_on('a')
    with pytest.raises(ValueError, match=r"trained on stains 'a', these data have 'b'"):
        test_on('b')
    told = {'default_hooks.check_stain.allow_other': True}
    cfg = config(tmp_path / 'told', monkeypatch, 'b')
    cfg.merge_from_dict(told)
    cfg.load_from = trained
    assert 'Dice' in build(cfg).test()


def test_resuming_on_other_stains_is_refused(trained, tmp_path, monkeypatch):
    cfg = config(tmp_path / 'resumed', monkeypatch, 'b')
    cfg.train_cfg.max_epochs = 4
    cfg.load_from, cfg.resume = trained, True
    with pytest.raises(ValueError, match='prepare them in the same way'):
        build(cfg).train()


def test_starting_from_weights_of_other_stains_is_reported(
    trained, tmp_path, monkeypatch
):
    cfg = config(tmp_path / 'started', monkeypatch, 'b')
    cfg.load_from = trained
    build(cfg).train()
    log = next((tmp_path / 'started').glob('*/*.log')).read_text()
    assert "trained on stains 'a', these data have 'b'" in log


def test_a_checkpoint_that_says_nothing_passes(tmp_path, monkeypatch):
    run = build(config(tmp_path / 'old', monkeypatch, 'a'))
    run.test_loop  # noqa: B018 (built on access)
    hook = CheckStainHook()
    hook.after_load_checkpoint(run, dict(meta={}))
    hook.after_load_checkpoint(run, dict(meta=dict(dataset_meta=dict(stain='a'))))
    with pytest.raises(ValueError, match="'c'"):
        hook.after_load_checkpoint(run, dict(meta=dict(dataset_meta=dict(stain='c'))))
