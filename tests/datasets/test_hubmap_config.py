import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from quick_and_slow import mostly_slow
from sections import section

from mmseg_ftu.stain import VahadaneNormalizer
from mmseg_ftu.stain.policy import NO_TISSUE

CONFIG = Path(__file__).parents[2] / 'configs/_base_/datasets/hubmap_768x768.py'
META = dict(img_id='102', organ='spleen', data_source='HPA', pixel_size=0.4)


@pytest.fixture
def config(make_prepared, monkeypatch):
    root = make_prepared(n=10, size=768, original=(1000, 750))
    monkeypatch.setenv('FTU_DATA', str(root))
    monkeypatch.setenv('FOLD', '2')
    return Config.fromfile(CONFIG)


def build(loader):
    return DATASETS.build(loader.dataset)


def test_environment_reaches_every_dataset(config, make_prepared):
    loaders = [config[f'{name}_dataloader'] for name in ('train', 'val', 'test')]
    assert {loader.dataset.data_root for loader in loaders} == {config.data_root}
    assert [len(build(loader)) for loader in loaders] == [8, 2, 2]
    assert {loader.batch_size for loader in loaders} == {4, 8, 1}


DATA_CONFIGS = ['hubmap_768x768.py', 'hubmap_960x960.py', 'tissue_256x256.py']


FOLDER_NAMES = ["patient's", 'a\\new', 'ü and ß', '{{$HOME:x}}']


@pytest.mark.parametrize('name', mostly_slow(FOLDER_NAMES, FOLDER_NAMES[:1]))
@pytest.mark.parametrize('config', mostly_slow(DATA_CONFIGS, ['tissue_256x256.py']))
def test_any_folder_name_reaches_the_datasets(
    make_prepared, monkeypatch, tmp_path, name, config
):
    root = make_prepared(name=name)
    monkeypatch.setenv('FTU_DATA', str(root))
    monkeypatch.setenv('FOLD', '1')
    cfg = Config.fromfile(CONFIG.with_name(config))
    for kind in ('train', 'val', 'test'):
        dataset = build(cfg[f'{kind}_dataloader'])
        assert (dataset.data_root, dataset.fold) == (str(root), 1)
        assert dataset[0]['inputs'].shape[0] == 3
    cfg.dump(tmp_path / 'dumped.py')  # what mmengine leaves in the work dir
    dumped = Config.fromfile(tmp_path / 'dumped.py', use_environment_variables=False)
    assert dumped.to_dict() == cfg.to_dict()


def test_an_empty_variable_is_named(monkeypatch):
    monkeypatch.setenv('FTU_DATA', '')
    with pytest.raises(ValueError, match='FTU_DATA'):
        build(Config.fromfile(CONFIG).train_dataloader)


def test_fold_is_zero_by_default(monkeypatch):
    monkeypatch.delenv('FOLD', raising=False)
    monkeypatch.delenv('FTU_DATA', raising=False)
    config = Config.fromfile(CONFIG)
    assert int(config.train_dataloader.dataset.fold) == 0
    assert config.test_dataloader.dataset.data_root == 'data/hubmap_768x768'


def test_train_samples_fit_in_a_batch(config):
    loader = config.train_dataloader
    loader.update(num_workers=0, persistent_workers=False)
    loader = Runner.build_dataloader(loader, seed=0)
    batches = list(loader)
    assert [len(batch['inputs']) for batch in batches] == [4, 4]
    images = [image for batch in batches for image in batch['inputs']]
    assert {tuple(image.shape) for image in images} == {(3, 768, 768)}
    for sample in (s for batch in batches for s in batch['data_samples']):
        assert sample.gt_sem_seg.data.shape == (1, 768, 768)
        assert set(sample.gt_sem_seg.data.unique().tolist()) <= {0, 1}
        assert {*META, 'original_shape'} <= set(sample.metainfo_keys())


def test_val_compares_at_training_size(config):
    sample = build(config.val_dataloader)[0]
    assert sample['inputs'].shape == (3, 768, 576)
    sample = sample['data_samples']
    assert sample.ori_shape == (768, 576)
    assert sample.gt_sem_seg.shape == (768, 576)
    assert {key: sample.get(key) for key in META} == META


def test_test_compares_at_original_size(config):
    sample = build(config.test_dataloader)[0]
    assert sample['inputs'].shape == (3, 768, 576)
    sample = sample['data_samples']
    assert sample.ori_shape == sample.original_shape == (1000, 750)
    assert sample.img_shape == (768, 576)
    assert sample.gt_sem_seg.shape == (1000, 750)
    assert {key: sample.get(key) for key in META} == META


def test_tta_flips_images_and_keeps_masks(config):
    plain = build(config.test_dataloader)[0]
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    views = build(config.test_dataloader)[0]
    image = plain['inputs']
    expected = [image, image.flip(2), image.flip(1)]
    directions = [None, 'horizontal', 'vertical']
    assert len(views['inputs']) == len(views['data_samples']) == 3
    for view, sample, want, direction in zip(
        views['inputs'], views['data_samples'], expected, directions, strict=True
    ):
        assert (view == want).all()
        assert sample.flip == (direction is not None)
        assert sample.flip_direction == direction
        assert sample.ori_shape == (1000, 750)
        mask = plain['data_samples'].gt_sem_seg.data
        assert (sample.gt_sem_seg.data == mask).all()


def test_image_is_first_loaded_for_inferencers(config):
    for name in ('test_pipeline', 'tta_pipeline', 'val_pipeline'):
        assert config[name][0]['type'] == 'LoadImageFromFile'


def test_stain_failure_reaches_the_sample(config, tmp_path):
    """Why an image couldn't be normalised; samples without StainNormalize pack too."""
    assert 'stain_failure' not in build(config.val_dataloader)[0]['data_samples']
    target = tmp_path / 'target.json'
    fitted = VahadaneNormalizer().fit(section())
    target.write_text(json.dumps(fitted.state_dict()))
    dataset = config.val_dataloader.dataset
    dataset.pipeline.insert(1, dict(type='StainNormalize', target=str(target)))
    blank = next((Path(config.data_root) / 'images').glob('102.*'))
    cv2.imwrite(str(blank), np.full((768, 576, 3), 255, np.uint8))
    reasons = {
        sample.img_id: sample.stain_failure
        for sample in (sample['data_samples'] for sample in DATASETS.build(dataset))
    }
    assert reasons == {'102': NO_TISSUE, '107': None}
