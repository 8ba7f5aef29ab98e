"""No pickle of strangers is run, and a damaged file is named."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.apis import init_model
from tiny_run import build, tiny_config

from mmseg_ftu.engine.safe_checkpoints import (
    DamagedCheckpointError,
    dataset_meta_of,
    load_local,
    load_url,
)

ROOT = Path(__file__).resolve().parents[2]


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def test_checkpoint_of_a_run_loads(tmp_path):
    build(tiny_config(tmp_path)).train()
    saved = load_local(str(tmp_path / 'epoch_4.pth'), 'cpu')
    assert saved['meta']['epoch'] == 4
    assert 'optimizer' in saved
    assert 'message_hub' in saved


ONE_CYCLE = dict(type='OneCycleLR', eta_max=0.01, total_steps=16, by_epoch=False)


@pytest.mark.parametrize('hook', ['ResumableCheckpointHook', 'CheckpointHook'])
@pytest.mark.parametrize(
    'options',
    [
        {'default_hooks.checkpoint.save_best': 'mIoU'},  # a number of numpy's
        {'param_scheduler': [ONE_CYCLE]},  # keeps a function of its class
    ],
    ids=['mIoU', 'OneCycleLR'],
)
def test_what_a_run_saves_can_be_resumed(options, hook, tmp_path):
    options = {
        'val_evaluator': [dict(type='FTUDiceMetric'), dict(type='IoUMetric')],
        'default_hooks.checkpoint.type': hook,
        'default_hooks.checkpoint.interval': 1,
        **options,
    }
    short = {'train_cfg.max_epochs': 2, 'custom_hooks': []}
    build(tiny_config(tmp_path, **options, **short)).train()
    for path in (tmp_path / 'epoch_2.pth', *tmp_path.glob('best_*.pth')):
        assert load_local(path, 'cpu')['meta']['epoch'] <= 2
    assert len(list(tmp_path.glob('best_*.pth'))) == 1
    cfg = tiny_config(tmp_path, resume=True, custom_hooks=[], **options)
    cfg.experiment_name += '_resumed'
    runner = build(cfg)
    runner.train()
    assert runner.epoch == 4


class Strange:
    """Something that a hook of a user may put into a checkpoint."""


class StrangeHook(Hook):
    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['strange'] = Strange()


def test_a_run_that_could_not_be_resumed_stops_at_its_first_checkpoint(tmp_path):
    runner = build(tiny_config(tmp_path))
    runner.register_hook(StrangeHook())
    with pytest.raises(ValueError, match=r'could not be resumed .*Strange') as caught:
        runner.train()
    assert runner.epoch == 1
    assert 'Let hooks keep only numbers' in str(caught.value)
    assert not list(tmp_path.glob('*.pth'))


def test_functions_of_mmseg_refuse_it_too(tmp_path):
    proof = tmp_path / 'proof'
    torch.save(dict(state_dict={}, extra=Bomb(str(proof))), tmp_path / 'bad.pth')
    with pytest.raises(ValueError, match=r'bad\.pth is refused'):
        init_model(
            str(ROOT / 'configs/tissue/coat_slim_daformer.py'),
            str(tmp_path / 'bad.pth'),
            'cpu',
        )
    assert not proof.exists()


def test_malicious_checkpoint_is_refused_and_not_run(tmp_path):
    proof = tmp_path / 'proof'
    torch.save(dict(state_dict={}, extra=Bomb(str(proof))), tmp_path / 'bad.pth')
    with pytest.raises(
        ValueError, match=r'bad\.pth is refused: besides weights it holds'
    ):
        load_local(str(tmp_path / 'bad.pth'))
    cfg = tiny_config(tmp_path / 'run', load_from=str(tmp_path / 'bad.pth'))
    with pytest.raises(ValueError, match='is to run code from the file'):
        build(cfg).train()
    assert not proof.exists()


def test_truncated_checkpoint_is_named(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.zeros(1000))), tmp_path / 'a.pth')
    data = (tmp_path / 'a.pth').read_bytes()
    for size in (0, 100, len(data) // 2):
        (tmp_path / 'half.pth').write_bytes(data[:size])
        with pytest.raises(
            ValueError, match=r'half\.pth .* is damaged or no checkpoint'
        ):
            load_local(str(tmp_path / 'half.pth'))


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nothing\.pth does not exist'):
        load_local(str(tmp_path / 'nothing.pth'))


def test_url_is_downloaded_once_and_loaded_safely(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'model.pth')
    url = (tmp_path / 'model.pth').as_uri()
    cache = tmp_path / 'cache'
    assert load_url(url, 'cpu', model_dir=cache)['state_dict']['a'] == 1
    (tmp_path / 'model.pth').unlink()
    assert load_url(url, 'cpu', model_dir=cache)['state_dict']['a'] == 1


def test_url_that_can_not_be_had_says_where_to_put_the_file(tmp_path):
    url = (tmp_path / 'nothing.pth').as_uri()
    with pytest.raises(FileNotFoundError, match=r'copy it to .*nothing\.pth'):
        load_url(url, model_dir=tmp_path / 'cache')


class Getattr:
    def __reduce__(self):
        return (getattr, (str, 'upper'))


def test_getattr_is_no_way_round(tmp_path):
    torch.save(dict(extra=Getattr()), tmp_path / 'sly.pth')
    with pytest.raises(ValueError, match=r'sly\.pth'):
        load_local(tmp_path / 'sly.pth')


def test_an_altered_byte_is_damage_for_every_loader(tmp_path):
    """torch reads such a file without a word."""
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=dict(w=torch.zeros(4096))), path)
    content = bytearray(path.read_bytes())
    place = content.index(bytes(4096))
    content[place + 2000] ^= 0xFF
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)['state_dict']['w'].any()
    with pytest.raises(DamagedCheckpointError, match='not those that were written'):
        load_local(path)


@pytest.mark.parametrize(
    ('checkpoint', 'expected'),
    [
        (dict(meta=dict(dataset_meta=dict(a=1))), dict(a=1)),
        (dict(meta=dict(dataset_meta=None)), {}),
        (dict(meta='text'), {}),
        (dict(meta=dict(dataset_meta=7)), {}),
        ({}, {}),
        ([1], {}),
    ],
)
def test_what_a_checkpoint_says_of_its_data(checkpoint, expected):
    assert dataset_meta_of(checkpoint) == expected
