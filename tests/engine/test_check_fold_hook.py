"""Folds stay apart in checkpoints, tests and work dirs: real runs, shipped hooks."""

import shutil
from functools import partial

import pytest
import torch
from quick_and_slow import mostly_slow
from shipped_run import build, log_of
from shipped_run import shipped_config as config_with_workers

ALLOW = {'default_hooks.check_fold.allow_other': True}
ONE = {
    'train_cfg.max_epochs': 1,
    'custom_hooks.0.schedule': [dict(begin=0, in_index=1)],
}
shipped_config = partial(config_with_workers, workers=False)


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=10, folds=5)


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory):
    """Train one epoch with fold 0 held out; returns the checkpoint."""
    work_dir = tmp_path_factory.mktemp('fold_0')
    build(shipped_config(work_dir, data, **ONE)).train()
    return work_dir / 'epoch_1.pth'


def meta_of(path):
    return torch.load(path, weights_only=False)['meta']['dataset_meta']


def score(checkpoint, work_dir, data, fold, **overrides):
    cfg = shipped_config(work_dir, data, fold, **overrides)
    cfg.load_from = str(checkpoint)
    return build(cfg).test(), cfg


def test_a_checkpoint_knows_its_fold(trained):
    meta = meta_of(trained)
    assert meta['fold'] == 0
    assert len(meta['folds_id']) == 12
    assert len(set(meta['train_images'])) == 8


def test_the_held_out_fold_passes_and_others_are_refused(trained, data, tmp_path):
    metrics, _ = score(trained, tmp_path / 'same', data, fold=0)
    assert 'Dice' in metrics
    message = r'trained on 2 of these 2 images \(101, 106\).*outside fold 0.*\(FOLD=0\)'
    with pytest.raises(ValueError, match=message):
        score(trained, tmp_path / 'other', data, fold=1)
    metrics, cfg = score(trained, tmp_path / 'told', data, fold=1, **ALLOW)
    assert 'Dice' in metrics
    assert 'trained on 2 of these 2 images' in log_of(cfg)


def test_the_same_images_in_other_folds_are_refused(trained, data, tmp_path):
    """A folder that was prepared again: its fold 0 holds images of the old fold 3."""
    again = shutil.copytree(data, tmp_path / 'again')
    table = again / 'folds.csv'
    header, *rows = table.read_text().splitlines()
    rows = [f'{r[:-1]}{(int(r[-1]) + 2) % 5}' for r in rows]
    table.write_text('\n'.join([header, *rows]))
    with pytest.raises(ValueError, match=r'2 of these 2 images \(103, 108\)'):
        score(trained, tmp_path / 'run', again, fold=0)


@pytest.mark.parametrize('fold', mostly_slow([0, 1], [0]))
def test_a_foreign_folder_needs_no_flag(trained, make_prepared, tmp_path, fold):
    """Ids of other images may well be the same."""
    foreign = make_prepared(n=10, original=(90, 96), name='foreign')
    metrics, cfg = score(trained, tmp_path / 'run', foreign, fold)
    assert 'Dice' in metrics
    assert 'CheckFoldHook' not in log_of(cfg)


@pytest.mark.slow
def test_a_model_of_all_images_can_not_be_tested_on_one(trained, data, tmp_path):
    cfg = shipped_config(tmp_path / 'all', data, **ONE)
    cfg.train_dataloader.dataset.split = 'all'
    build(cfg).train()
    assert '2 of the 2 validation images are trained on (100, 105), so' in log_of(cfg)
    checkpoint = tmp_path / 'all' / 'epoch_1.pth'
    assert meta_of(checkpoint)['fold'] is None
    assert meta_of(checkpoint)['folds_id'] == meta_of(trained)['folds_id']
    with pytest.raises(ValueError, match=r'on all 10 images of the split .* not seen'):
        score(checkpoint, tmp_path / 'test', data, fold=0)


def test_resuming_with_another_fold_is_refused(trained, data, tmp_path):
    more = {'train_cfg.max_epochs': 2, 'resume': True}

    def resume(name, **overrides):
        run = shutil.copytree(trained.parent, tmp_path / name)
        (run / 'last_checkpoint').write_text(str(run / 'epoch_1.pth'))
        cfg = shipped_config(run, data, **{**ONE, **more, **overrides})
        build(cfg).train()
        return cfg

    other = {f'{k}_dataloader.dataset.fold': 3 for k in ('train', 'val')}
    with pytest.raises(ValueError, match=r'outside fold 0 .* outside fold 3'):
        resume('other', **other)
    assert 'would go on with' in log_of(resume('told', **other, **ALLOW))
    assert 'CheckFoldHook' not in log_of(resume('same'))


@pytest.mark.slow
def test_a_new_run_does_not_replace_that_of_another_fold(trained, data, tmp_path):
    run = shutil.copytree(trained.parent, tmp_path / 'run')
    before = (run / 'epoch_1.pth').read_bytes()
    with pytest.raises(ValueError, match=r'holds checkpoints .* another --work-dir'):
        build(shipped_config(run, data, fold=3, **ONE)).train()
    assert (run / 'epoch_1.pth').read_bytes() == before
    build(shipped_config(run, data, fold=0, **ONE)).train()  # as mmseg does


def test_validation_on_training_images_is_refused(data, tmp_path):
    cfg = shipped_config(tmp_path, data, **ONE)
    cfg.train_dataloader.dataset.fold = 3
    with pytest.raises(ValueError, match=r'2 of the 2 validation .*\(100, 105\).*FOLD'):
        build(cfg).train()


def test_starting_from_weights_of_another_fold_is_reported(trained, data, tmp_path):
    cfg = shipped_config(tmp_path, data, fold=1, load_from=str(trained), **ONE)
    build(cfg).train()
    assert 'trained on 2 of the 2 validation images (101, 106)' in log_of(cfg)


def test_a_checkpoint_that_says_nothing_passes(trained, data, tmp_path):
    saved = torch.load(trained, weights_only=False)
    for key in ('fold', 'folds_id', 'train_images'):
        del saved['meta']['dataset_meta'][key]
    torch.save(saved, tmp_path / 'old.pth')
    metrics, cfg = score(tmp_path / 'old.pth', tmp_path / 'run', data, fold=1)
    assert 'Dice' in metrics
    assert 'does not say which images it was trained on' in log_of(cfg)
