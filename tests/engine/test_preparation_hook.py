"""Checkpoints say how their training images were prepared, in a real Runner."""

import json

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from shipped_run import build as build_shipped
from shipped_run import log_of, shipped_config
from tiny_run import Squares, build, tiny_config

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.engine.preparation_hook import (
    differences,
    merge,
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
    assert merge(found) == expected


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
        (None, {}, None),
        (change_size, {}, 'preparation.size 64 -> 48'),
        (None, dict(laboratory='B'), "laboratory None -> 'B'"),
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
