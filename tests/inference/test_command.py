"""From a real Runner's checkpoint to masks: prediction agrees with testing."""

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from small_models import constant, save, section_target, small_config

from mmseg_ftu import FTUPredictor
from mmseg_ftu.engine.runner import evaluate, train
from mmseg_ftu.evaluation.fit_thresholds import fit_thresholds
from mmseg_ftu.inference.command import predict
from mmseg_ftu.inference.provenance import hash_config
from mmseg_ftu.preparation.competition import prepare_hubmap
from mmseg_ftu.preparation.staining import fit_stain_step
from mmseg_ftu.sample_tissue import write_sample_data

ROOT = Path(__file__).resolve().parents[2]
TABLE = 'test_evaluator.thresholds'


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """Sample data, prepared with stains normalised, and a model trained on them."""
    root = tmp_path_factory.mktemp('command')
    write_sample_data(root / 'raw', images=8, size=320)
    stain = fit_stain_step('vahadane', section_target(root / 'target.json'))
    prepare_hubmap(root / 'raw', root / 'data', 128, 2, workers=0, stain=stain)
    config = write_config(root)
    torch.manual_seed(0)
    train(str(config), str(root / 'run'))
    return root


def write_config(root):
    """Write the quickstart's config with a small model, for one epoch."""
    cfg = Config.fromfile(ROOT / 'configs/tissue/coat_slim_daformer.py')
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
        (dict(threshold=1.5), '1.5 is not in 0..1'),
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


# the user's folders


def everything(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.fixture
def my_tissue(tmp_path):
    """Images and ground truth, as docs/howto/data.md has them."""
    image = np.full((70, 80, 3), 120, np.uint8)
    for name in ('a', 'b'):
        for part in ('images', 'masks'):
            (tmp_path / 'my_tissue' / part).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / 'my_tissue' / part / f'{name}.png'), image)
    (tmp_path / 'linked').symlink_to(tmp_path / 'my_tissue')
    return tmp_path / 'my_tissue'


@pytest.mark.parametrize(
    ('image', 'output'),
    [
        ('my_tissue/images', 'my_tissue'),
        ('my_tissue/images', 'my_tissue/images'),
        ('my_tissue/images', 'my_tissue/images/out'),
        ('my_tissue/images', 'my_tissue/masks'),
        ('my_tissue/images', 'linked'),
        ('linked/images', 'my_tissue/images/out'),
        ('my_tissue/images/a.png', 'my_tissue'),
        ('my_tissue/images/*.png', 'my_tissue'),
        ('my_tissue/images/**/*.png', 'my_tissue/images/out'),
        ('my_tissue/images', '.'),
        ('my_tissue/images', 'my_tissue/images/a.png'),
    ],
)
@pytest.mark.parametrize('overwrite', [False, True])
def test_ground_truth_is_never_touched(
    constant_models, my_tissue, tmp_path, monkeypatch, image, output, overwrite
):
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    config, checkpoints = constant_models
    with pytest.raises(ValueError, match=r'another folder|beside it|new folder|a file'):
        predict(config, checkpoints, image, Path(output), overwrite=overwrite)
    assert everything(tmp_path) == before
    folders = {path for path in tmp_path.rglob('*') if path.is_dir()}
    assert folders == {my_tissue, my_tissue / 'images', my_tissue / 'masks'} | {
        tmp_path / 'linked'
    }


def test_a_file_may_lie_beside_its_results(constant_models, tmp_path, monkeypatch):
    """``--input slide.svs --output out``, both in the current directory."""
    monkeypatch.chdir(tmp_path)
    config, checkpoints = constant_models
    assert predict(config, checkpoints, 'a.png', Path('out')).done == 1
    assert predict(config, checkpoints, 'a.png', Path('out')).kept == 1


@pytest.mark.parametrize('overwrite', [False, True])
def test_no_result_lands_in_a_prepared_folder(work, checkpoint, tmp_path, overwrite):
    config, before = str(work / 'config.py'), everything(work / 'data')
    raw = str(work / 'raw' / 'train_images')
    data = work / 'data'
    for image, output in ((raw, data), (str(data), data / 'out'), (str(data), data)):
        with pytest.raises(ValueError, match=r'not made by predict|in the input'):
            predict(config, [checkpoint], image, output, overwrite=overwrite)
    with pytest.raises(ValueError, match='is, holds or lies in the input folder'):
        evaluate(config, checkpoint, str(tmp_path), out=str(data / 'masks'))
    with pytest.raises(ValueError, match='raw is not empty and was not made by this'):
        evaluate(config, checkpoint, str(tmp_path), show_dir=str(work / 'raw'))
    assert everything(work / 'data') == before


def test_a_test_may_be_repeated(work, checkpoint, tmp_path):
    arguments = str(work / 'config.py'), checkpoint, str(tmp_path / 'logs')
    places = dict(out=str(tmp_path / 'out'), show_dir=str(tmp_path / 'shown'))
    first = evaluate(*arguments, **places)
    # mmengine's visualizer of this process draws elsewhere
    (tmp_path / 'shown' / 'vis_data').mkdir()
    assert evaluate(*arguments, **places) == first
    masks = {path.name for path in (tmp_path / 'out').glob('*.png')}
    assert len(masks) == 4


# what a resumed run trusts


@pytest.fixture
def predict_a(constant_models, tmp_path, monkeypatch):
    """Return a function that predicts ``a.png`` into ``out``."""
    monkeypatch.chdir(tmp_path)

    def run(config='config.py', checkpoint='0.8.pth', **options):
        return predict(config, [checkpoint], 'a.png', Path('out'), **options)

    return run


def test_a_config_is_known_by_its_content(predict_a, tmp_path):
    assert predict_a().done == 1
    assert predict_a('./config.py', './0.8.pth').kept == 1
    text = (tmp_path / 'config.py').read_text()
    (tmp_path / 'copy.py').write_text('# a comment\nunused = 1\n' + text)
    assert predict_a(str(tmp_path / 'copy.py')).kept == 1
    options = dict(cfg_options={'model.data_preprocessor.mean': [1, 2, 3]})
    with pytest.raises(ValueError, match=r'other settings \(config_sha256\)'):
        predict_a(**options)
    (tmp_path / 'config.py').write_text(text.replace('123.675', '99.0'))
    with pytest.raises(ValueError, match=r'other settings \(config_sha256\)'):
        predict_a()
    (tmp_path / 'config.py').write_text(text)
    options = dict(cfg_options={'model.data_preprocessor.std': [58.395, 57.12, 57.375]})
    assert predict_a(**options).kept == 1  # the same content, said once more


def test_a_config_is_followed_to_its_base(predict_a, tmp_path):
    (tmp_path / 'child.py').write_text("_base_ = 'config.py'\n")
    assert predict_a('child.py').done == 1
    text = (tmp_path / 'config.py').read_text()
    (tmp_path / 'config.py').write_text(text.replace('123.675', '99.0'))
    with pytest.raises(ValueError, match=r'other settings \(config_sha256\)'):
        predict_a('child.py')


def test_data_and_fold_of_the_environment_change_nothing(monkeypatch):
    name = ROOT / 'configs/tissue/coat_slim_daformer_switch.py'
    hashes = set()
    for data, fold in (('a', '0'), ('b', '3')):
        monkeypatch.setenv('FTU_DATA', data)
        monkeypatch.setenv('FOLD', fold)
        hashes.add(hash_config(Config.fromfile(name)))
    assert len(hashes) == 1


def test_a_checkpoint_is_known_by_its_content(predict_a, tmp_path):
    assert predict_a().done == 1
    shutil.copy(tmp_path / '0.8.pth', tmp_path / 'copy.pth')
    assert predict_a(checkpoint='copy.pth').kept == 1
    shutil.copy(tmp_path / '0.2.pth', tmp_path / '0.8.pth')
    with pytest.raises(ValueError, match=r'other settings \(checkpoints_sha256\)'):
        predict_a()


def test_a_downloaded_checkpoint_is_hashed(predict_a, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    cached = tmp_path / 'hub' / 'checkpoints' / 'best.pth'
    cached.parent.mkdir(parents=True)
    shutil.copy(tmp_path / '0.8.pth', cached)
    url = 'https://example.org/best.pth'
    assert predict_a(checkpoint=url).done == 1
    assert predict_a().kept == 1  # the same file
    about = json.loads((tmp_path / 'out' / 'prediction.json').read_text())
    digest = hashlib.sha256(cached.read_bytes()).hexdigest()
    assert about['checkpoints'][0]['sha256'] == digest
    shutil.copy(tmp_path / '0.2.pth', cached)
    with pytest.raises(ValueError, match=r'other settings \(checkpoints_sha256\)'):
        predict_a(checkpoint=url)


def test_the_target_of_a_preprocessor_is_known_by_its_content(tmp_path):
    target = section_target(tmp_path / 'target.json')
    changed = {
        'data_preprocessor.type': 'StainDataPreProcessor',
        'data_preprocessor.stain_target': str(target),
    }
    cfg = small_config(**{f'model.{key}': value for key, value in changed.items()})
    path = save(constant(cfg, 0.5), tmp_path / 'model.pth')
    before = FTUPredictor(cfg, path).settings()
    assert FTUPredictor(cfg, path).settings() == before
    state = json.loads(target.read_text())
    target.write_text(json.dumps(state | dict(on_failure='target')))
    assert FTUPredictor(cfg, path).settings() != before
