"""Checkpoints say how their training images were prepared, in a real Runner."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import ConcatDataset, RepeatDataset
from shipped_run import build as build_shipped
from shipped_run import log_of, shipped_config
from tiny_run import Squares, build, tiny_config

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.engine.keep_preparation_hook import (
    KeepPreparationHook,
    common_recipe,
    differences,
    preparations,
)
from mmseg_ftu.recipe import Recipe, StainStep

STAIN = StainStep('vahadane-1', 'resize-first', state={})


def prepared(size, pixel_size, stain=None, **by_organ):
    return Recipe(size, pixel_size, stain, by_organ)


@pytest.mark.parametrize(
    ('found', 'expected'),
    [
        ([prepared(768, 1.5, STAIN)], prepared(768, 1.5, STAIN)),
        ([prepared(768, 1.5), prepared(768, 2.5)], prepared(768, 2.0)),
        ([prepared(768, 1.5), prepared(512, None)], prepared(None, 1.5)),
        ([prepared(None, None)], prepared(None, None)),
        (
            [
                prepared(768, 1.5, kidney=1.4, lung=2.0),
                prepared(768, 2.5, kidney=1.6),
                prepared(768, None),
            ],
            prepared(768, 2.0, kidney=1.5, lung=2.0),
        ),
    ],
)
def test_what_folders_have_in_common(found, expected):
    assert common_recipe(found) == expected


def test_datasets_in_wrappers_are_found(make_prepared):
    roots = [make_prepared(n=4, size=size, name=str(size)) for size in (64, 48)]
    parts = [HuBMAPDataset(str(root), split='all') for root in roots]
    # pixel_size 0.4 of images of 96 px
    expected = [
        prepared(size, x, kidney=x, spleen=x)  # that of the lung image is unknown
        for size, x in ((64, 0.4 * (96 / 64)), (48, 0.4 * (96 / 48)))
    ]
    assert list(preparations(ConcatDataset(parts))) == expected
    assert list(preparations(RepeatDataset(parts[1], 2))) == expected[1:]
    assert list(preparations(object())) == []
    assert 'preparation' not in parts[0].metainfo


@pytest.mark.parametrize('told', [True, False])
def test_checkpoints_carry_it(tmp_path, monkeypatch, told):
    if told:
        about = prepared(32, 0.5, STAIN, kidney=0.5)
        monkeypatch.setattr(Squares, 'preparation', about, False)
    cfg = tiny_config(tmp_path)
    cfg.default_hooks.keep_preparation = dict(type='KeepPreparationHook')
    build(cfg).train()
    meta = torch.load(tmp_path / 'epoch_4.pth', weights_only=False)['meta']
    found = meta['dataset_meta'].get('preparation')
    assert found == (about.to_dict() if told else None)
    assert 'classes' in meta['dataset_meta'] or 'palette' in meta['dataset_meta']


MMENGINE = 'The dataset metainfo from the resumed checkpoint is different'


def change_size(data):
    settings = {'size': 48, 'folds': 5}
    (data / 'manifest.json').write_text(json.dumps({'settings': settings}))


@pytest.mark.parametrize(
    ('change', 'metainfo', 'named'),
    [
        pytest.param(None, {}, None, marks=pytest.mark.slow),
        (change_size, {}, 'preparation.size 64 -> 48'),
        pytest.param(
            *(None, dict(laboratory='B'), "laboratory None -> 'B'"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_resumed_run_is_told_of_other_data_only(
    make_prepared, tmp_path, change, metainfo, named
):
    data = make_prepared()

    def run(epochs, **options):
        options |= {'train_cfg.max_epochs': epochs}
        cfg = shipped_config(tmp_path / 'run', data, workers=False, **options)
        cfg.custom_hooks[0].schedule[1].begin = 1
        if epochs > 2:
            cfg.train_dataloader.dataset.metainfo = metainfo
        build_shipped(cfg).train()
        return log_of(cfg)

    run(2)
    if change:
        change(data)
    log = run(3, resume=True)
    assert (MMENGINE in log) == (named is not None)
    assert ('the data differ from those of the checkpoint' in log) == bool(named)
    assert named is None or named in log


def test_differences_of_arrays():
    palette = np.zeros((2, 3))
    assert differences(dict(palette=palette), dict(palette=palette.copy()), None) == []
    assert differences(dict(palette=palette), dict(palette=palette + 1), None)


# a model is tested on data normalised as it was trained


TEST = dict(test_cfg=dict(type='TestLoop'), test_evaluator=dict(type='FTUDiceMetric'))


def stain_config(work_dir, monkeypatch, stain: str | None, **overrides) -> Config:
    metainfo = dict(Squares.metainfo)
    if stain is not None:
        metainfo['stain'] = stain
    monkeypatch.setattr(Squares, 'metainfo', metainfo)
    cfg = tiny_config(work_dir, **overrides)
    cfg.train_cfg.max_epochs = 3
    cfg.default_hooks.keep_preparation = dict(type='KeepPreparationHook')
    cfg.test_dataloader = cfg.val_dataloader
    cfg.merge_from_dict(TEST)
    return cfg


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train on stains 'a' and return the checkpoint."""
    build(stain_config(tmp_path / 'train', monkeypatch, 'a')).train()
    path = tmp_path / 'train' / 'epoch_3.pth'
    meta = torch.load(path, weights_only=False)['meta']
    assert meta['dataset_meta']['stain'] == 'a'
    return str(path)


def test_the_same_stains_pass_and_others_are_refused(trained, tmp_path, monkeypatch):
    def test_on(stain, **overrides):
        cfg = stain_config(tmp_path / f'test_{stain}', monkeypatch, stain, **overrides)
        cfg.load_from = trained
        return build(cfg).test()

    assert 'Dice' in test_on('a')
    with pytest.raises(ValueError, match=r"trained on stains 'a', these data have 'b'"):
        test_on('b')
    told = {'default_hooks.keep_preparation.allow_other_stain': True}
    cfg = stain_config(tmp_path / 'told', monkeypatch, 'b')
    cfg.merge_from_dict(told)
    cfg.load_from = trained
    assert 'Dice' in build(cfg).test()


def test_resuming_on_other_stains_is_refused(trained, tmp_path, monkeypatch):
    cfg = stain_config(tmp_path / 'resumed', monkeypatch, 'b')
    cfg.train_cfg.max_epochs = 4
    cfg.load_from, cfg.resume = trained, True
    with pytest.raises(ValueError, match='prepare them in the same way'):
        build(cfg).train()


def test_starting_from_weights_of_other_stains_is_reported(
    trained, tmp_path, monkeypatch
):
    cfg = stain_config(tmp_path / 'started', monkeypatch, 'b')
    cfg.load_from = trained
    build(cfg).train()
    log = next((tmp_path / 'started').glob('*/*.log')).read_text()
    assert "trained on stains 'a', these data have 'b'" in log


def test_a_checkpoint_that_says_nothing_passes(tmp_path, monkeypatch):
    run = build(stain_config(tmp_path / 'old', monkeypatch, 'a'))
    run.test_loop  # noqa: B018 (built on access)
    hook = KeepPreparationHook()
    hook.after_load_checkpoint(run, dict(meta={}))
    hook.after_load_checkpoint(run, dict(meta=dict(dataset_meta=dict(stain='a'))))
    with pytest.raises(ValueError, match="'c'"):
        hook.after_load_checkpoint(run, dict(meta=dict(dataset_meta=dict(stain='c'))))


# configs of earlier versions name two hooks


OLD, NEW = dict(type='CheckStainHook'), dict(type='KeepPreparationHook')


@pytest.mark.parametrize(
    ('hooks', 'allowed'),
    [
        (dict(check_stain=OLD), False),
        (dict(check_stain=OLD | dict(allow_other=True)), True),
        (dict(check_stain=OLD, keep_preparation=NEW), False),
        (dict(check_stain=OLD | dict(allow_other=True), keep_preparation=NEW), True),
        (
            dict(check_stain=OLD, keep_preparation=NEW | dict(allow_other_stain=True)),
            True,
        ),
    ],
)
def test_earlier_configs_check_once_and_as_they_say(
    trained, tmp_path, monkeypatch, hooks, allowed
):
    cfg = stain_config(tmp_path / 'test', monkeypatch, 'b')
    del cfg.default_hooks['keep_preparation']
    cfg.default_hooks.update(hooks)
    cfg.load_from = trained
    run = build(cfg)
    if not allowed:
        with pytest.raises(ValueError, match='these data have'):
            run.test()
        return
    run.test()
    log = next((tmp_path / 'test').glob('*/*.log')).read_text()
    assert log.count("trained on stains 'a', these data have 'b'") == 1


def test_earlier_configs_keep_one_entry(tmp_path, monkeypatch):
    cfg = stain_config(tmp_path / 'train', monkeypatch, 'a')
    recipe = Recipe(32, 0.5)
    monkeypatch.setattr(Squares, 'preparation', recipe, raising=False)
    cfg.default_hooks.check_stain = OLD
    build(cfg).train()
    meta = torch.load(tmp_path / 'train' / 'epoch_3.pth', weights_only=False)['meta']
    assert meta['dataset_meta']['preparation'] == recipe.to_dict()
    assert meta['dataset_meta']['stain'] == 'a'
    cfg.resume, cfg.train_cfg.max_epochs = True, 4
    monkeypatch.setattr(Squares, 'preparation', Recipe(16, 1.0))
    build(cfg).train()
    logs = sorted((tmp_path / 'train').glob('*/*.log'))
    told = [path.read_text().count('preparation.size 32 -> 16') for path in logs]
    assert sum(told) == 1
