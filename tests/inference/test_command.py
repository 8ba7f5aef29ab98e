"""From a real Runner's checkpoint to masks: prediction agrees with testing."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from small_models import constant, save, section_target, small_config

from mmseg_ftu.apis import evaluate, train
from mmseg_ftu.evaluation.fit_thresholds import fit_thresholds
from mmseg_ftu.inference.command import predict
from mmseg_ftu.preparation.competition import prepare_hubmap
from mmseg_ftu.preparation.sample_tissue import write_sample_data
from mmseg_ftu.preparation.staining import stain_settings

TABLE = 'test_evaluator.thresholds'


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """Sample data, prepared with stains normalised, and a model trained on them."""
    root = tmp_path_factory.mktemp('command')
    write_sample_data(root / 'raw', images=8, size=320)
    stain = stain_settings('vahadane', section_target(root / 'target.json'))
    prepare_hubmap(root / 'raw', root / 'data', 128, 2, workers=0, stain=stain)
    config = write_config(root)
    torch.manual_seed(0)
    train(str(config), str(root / 'run'))
    return root


def write_config(root):
    """Write the quickstart's config with a small model, for one epoch."""
    cfg = Config.fromfile('configs/quickstart/coat_daformer.py')
    small = small_config(kernel_size=9)
    cfg.model, cfg.custom_imports = small.model, small.custom_imports
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    cfg.param_scheduler = []
    cfg.optim_wrapper.optimizer.lr = 0.05
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.data_root = str(root / 'data')
    cfg.train_dataloader.dataset.pipeline[2].transforms[0].size = (64, 64)
    cfg.dump(root / 'config.py')
    return root / 'config.py'


@pytest.fixture
def checkpoint(work):
    return str(work / 'run' / 'epoch_1.pth')


def test_a_checkpoint_knows_how_its_images_were_prepared(work, checkpoint):
    meta = torch.load(checkpoint, weights_only=False)['meta']['dataset_meta']
    settings = json.loads((work / 'data' / 'manifest.json').read_text())['settings']
    preparation = meta['preparation']
    assert preparation['size'] == 128
    assert preparation['stain'] == settings['stain']
    table = pd.read_csv(work / 'data' / 'folds.csv')
    held_out = table[table.fold != 0].pixel_size
    assert preparation['pixel_size'] == pytest.approx(held_out.median() * 320 / 128)
    assert meta['stain'] == f'{settings["stain"]["id"]} resize-first'


def test_the_checkpoint_serves_mmseg_too(work, checkpoint):
    model = init_model(str(work / 'config.py'), checkpoint, device='cpu')
    assert tuple(model.dataset_meta['classes']) == ('background', 'ftu')
    image = next((work / 'data' / 'images').iterdir())
    result = inference_model(model, str(image))
    assert result.seg_logits.data.shape == (1, 128, 128)


def dice(folder, prepared, name):
    mask = cv2.imread(str(folder / 'masks' / f'{name}.png'), -1) == 255
    truth = cv2.imread(str(prepared / 'masks_original' / f'{name}.png'), -1) == 1
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


def test_prediction_scores_as_testing_does(work, checkpoint, tmp_path):
    config = str(work / 'config.py')
    evaluate(config, checkpoint, str(tmp_path), out=str(tmp_path / 'test'), tta=True)
    tested = pd.read_csv(
        tmp_path / 'test' / 'dice_per_image.csv', dtype={'img_id': str}
    )
    summary = predict(config, [checkpoint], str(work / 'data'), tmp_path / 'p', fold=0)
    assert summary.done == len(tested) == 4
    rows = pd.read_csv(tmp_path / 'p' / 'predictions.csv', dtype={'id': str})
    assert rows.threshold.tolist() == tested.threshold.tolist()
    found = [dice(tmp_path / 'p', work / 'data', name) for name in tested.img_id]
    assert 0.1 < np.mean(found) < 0.99  # a model that says something
    assert np.mean(found) == pytest.approx(tested.dice.mean(), abs=1e-3)
    np.testing.assert_allclose(found, tested.dice, atol=5e-3)


def test_raw_images_are_predicted_as_prepared_ones(work, checkpoint, tmp_path):
    config, kinds = str(work / 'config.py'), ['masks', 'probabilities']
    for name, images in (('p', 'data'), ('r', 'raw/train_images')):
        out = tmp_path / name
        summary = predict(
            config, [checkpoint], str(work / images), out, save=kinds, threshold=0.5
        )
        assert (summary.done, summary.failed) == (8, {})
    names = sorted(path.name for path in (tmp_path / 'p' / 'masks').iterdir())
    assert len(names) == 8
    for name in names:
        probability = f'probabilities/{Path(name).stem}.tif'
        for file in (f'masks/{name}', probability):
            prepared, raw = (cv2.imread(str(tmp_path / d / file), -1) for d in 'pr')
            assert (prepared == raw).all()
        assert prepared.any()


@pytest.mark.parametrize('images', ['data', 'raw/train_images'])
def test_thresholds_are_not_fitted_to_training_images(
    work, checkpoint, tmp_path, images
):
    arguments = str(work / 'config.py'), [checkpoint], str(work / images)
    kinds = ['masks', 'probabilities']
    predict(*arguments, tmp_path / 'all', save=kinds)
    table = pd.read_csv(work / 'data' / 'folds.csv', dtype={'id': str})
    trained = ', '.join(table.id[table.fold != 0])
    with pytest.raises(ValueError, match=rf'trained on 4 of .*: {trained};'):
        fit_thresholds(work / 'data', [tmp_path / 'all'])
    about = json.loads((tmp_path / 'all' / 'prediction.json').read_text())
    assert about['checkpoints'][0]['fold'] == 0
    assert len(about['checkpoints'][0]['train_images']) == 4
    if images == 'data':
        predict(*arguments, tmp_path / 'held_out', save=kinds, fold=0)
        fits, notes = fit_thresholds(work / 'data', [tmp_path / 'held_out'])
        assert sum(fit.images for fit in fits.values()) == 4
        assert notes == ['4 images of the truth have no prediction']


@pytest.fixture
def constant_models(tmp_path):
    """A config and checkpoints that say .2 and .8; there is an image ``a.png``."""
    cfg = small_config()
    cfg.dump(tmp_path / 'config.py')
    paths = [save(constant(cfg, p), tmp_path / f'{p}.pth') for p in (0.2, 0.8)]
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((70, 80, 3), 120, np.uint8))
    return str(tmp_path / 'config.py'), [str(path) for path in paths]


@pytest.mark.parametrize(
    ('options', 'threshold', 'foreground'),
    [
        (dict(), 0.5, 0),
        (dict(organ='lung', data_source='Hubmap'), 0.1, 1),
        (dict(weights=[1, 3]), 0.5, 1),
        (dict(threshold=0.49), 0.49, 1),
        (dict(thresholds='fitted.json', organ='gut', data_source='Lab'), 0.3, 1),
        (dict(thresholds='fitted.json', organ='skin', data_source='Lab'), 0.9, 0),
        (dict(cfg_options={f'{TABLE}.default': 0.4}), 0.4, 1),
        (
            dict(
                thresholds='fitted.json',
                organ='skin',
                data_source='Lab',
                cfg_options={f'{TABLE}.Lab.skin': 0.2},
            ),
            0.2,
            1,
        ),
    ],
)
def test_thresholds_and_weights(
    constant_models, tmp_path, monkeypatch, options, threshold, foreground
):
    monkeypatch.chdir(tmp_path)
    fitted = dict(thresholds={'Lab': {'gut': 0.3, 'default': 0.9}}, layout=1)
    (tmp_path / 'fitted.json').write_text(json.dumps(fitted))
    config, checkpoints = constant_models
    predict(config, checkpoints, 'a.png', tmp_path / 'out', **options)
    (row,) = pd.read_csv(tmp_path / 'out' / 'predictions.csv').to_dict('records')
    assert row['threshold'] == threshold
    assert row['foreground'] == foreground
    about = json.loads((tmp_path / 'out' / 'prediction.json').read_text())
    assert [c['path'] for c in about['checkpoints']] == checkpoints
    assert all(len(c['sha256']) == 64 for c in about['checkpoints'])
    expected = [0.25, 0.75] if 'weights' in options else [0.5, 0.5]
    assert [c['weight'] for c in about['checkpoints']] == expected
    assert {'mmseg_ftu', 'torch'} <= {*about['versions']}


def test_masks_only_and_empty_names(constant_models, tmp_path):
    config, checkpoints = constant_models
    image = str(tmp_path / 'a.png')
    out = tmp_path / 'out'
    predict(config, checkpoints[1:], image, out, save=['masks', 'probabilities'])
    assert (cv2.imread(str(out / 'masks' / 'a.png'), -1) == 255).all()
    names = sorted(p.name for p in out.iterdir() if not p.name.startswith('.'))
    assert names == [
        'masks',
        'prediction.json',
        'predictions.csv',
        'probabilities',
        'records',
    ]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(threshold=0.5, thresholds='a.json'), 'give one of them'),
        (dict(threshold=1.5), '1.5 not in 0..1'),
        (dict(thresholds='nowhere.json'), r'nowhere\.json'),
        (dict(fold=1), '--fold is for prepared folders'),
        (dict(save=['films']), 'films.*choose from'),
        (dict(tile=10, overlap=9), 'tile=10, overlap=9'),
        (dict(weights=[1, 2, 3]), 'one positive number for each'),
        (dict(device='toaster'), "device='toaster'"),
    ],
)
def test_faulty_options_are_named(constant_models, tmp_path, options, message):
    config, checkpoints = constant_models
    with pytest.raises(ValueError, match=message):
        predict(config, checkpoints, str(tmp_path / 'a.png'), tmp_path / 'o', **options)
    assert not (tmp_path / 'o' / 'predictions.csv').exists()
