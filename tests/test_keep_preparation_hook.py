"""Checkpoints say how their training images were prepared, in a real Runner."""

import pytest
import torch
from mmengine.dataset import ConcatDataset, RepeatDataset
from tiny_run import Squares, build, tiny_config

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.keep_preparation_hook import merge, preparations

STAIN = dict(id='vahadane-1', order='resize-first', state={})


def prepared(size, pixel_size, stain=None, **by_organ):
    return dict(
        size=size, pixel_size=pixel_size, pixel_size_by_organ=by_organ, stain=stain
    )


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
        # of an earlier version of the dataset
        ([dict(size=768, pixel_size=1.5, stain=None)], prepared(768, 1.5)),
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
    assert found == (about if told else None)
    assert 'classes' in meta['dataset_meta'] or 'palette' in meta['dataset_meta']
