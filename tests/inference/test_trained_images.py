"""Predicting a fold that the checkpoint was trained on is refused."""

import pytest
from small_models import build_small, save, small_config

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.datasets.fold_record import fold_record
from mmseg_ftu.inference.command import predict


@pytest.fixture
def setting(make_prepared, tmp_path):
    """Return a prepared folder and `predict` with a model trained without fold 0."""
    data = make_prepared()
    small_config().dump(tmp_path / 'config.py')
    meta = fold_record(HuBMAPDataset(data, fold=0))
    model = build_small(small_config())
    checkpoint = save(model, tmp_path / 'fold_0.pth', **meta)
    silent = save(model, tmp_path / 'silent.pth')

    def run(fold, checkpoints=(checkpoint,), **options):
        options = dict(save=['masks'], fold=fold, device='cpu') | options
        folder = options.pop('folder', data)
        output = tmp_path / f'out_{len(list(tmp_path.glob("out_*")))}'
        config = str(tmp_path / 'config.py')
        return predict(config, checkpoints, str(folder), output, **options)

    run.silent, run.data = silent, data
    return run


def test_the_held_out_fold_passes(setting, capfd):
    assert setting(fold=0).done == 2
    assert 'trained on' not in capfd.readouterr().err


def test_another_fold_is_refused_unless_told(setting, capfd):
    message = r'trained on 2 of these 2 images \(103, 108\).*--fold 0.*allow-other-fold'
    with pytest.raises(ValueError, match=message):
        setting(fold=3)
    assert setting(fold=3, allow_other_fold=True).done == 2
    assert 'trained on 2 of these 2 images' in capfd.readouterr().err


def test_one_of_an_ensemble_is_enough(setting, tmp_path):
    meta = fold_record(HuBMAPDataset(setting.data, fold=3))
    other = save(build_small(small_config()), tmp_path / 'fold_3.pth', **meta)
    with pytest.raises(ValueError, match='checkpoint 1 was trained on 2 of these 2'):
        setting(fold=3, checkpoints=(tmp_path / 'fold_0.pth', other))


def test_all_images_of_a_folder_are_predicted_with_a_note(setting, capfd):
    assert setting(fold=None).done == 10
    assert 'trained on 8 of these 10 images' in capfd.readouterr().err


def test_a_foreign_folder_passes(setting, make_prepared, capfd):
    foreign = make_prepared(original=(90, 96), name='foreign')
    assert setting(fold=3, folder=foreign).done == 2
    assert 'trained on' not in capfd.readouterr().err


def test_a_checkpoint_that_says_nothing_passes_with_a_note(setting, capfd):
    assert setting(fold=3, checkpoints=(setting.silent,)).done == 2
    assert 'does not say which images it was trained on' in capfd.readouterr().err


def test_images_from_elsewhere_pass(setting, capfd):
    assert setting(fold=None, folder=setting.data / 'images').done == 10
    assert 'trained on' not in capfd.readouterr().err
