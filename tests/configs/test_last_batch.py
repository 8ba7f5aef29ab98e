"""All experiments train on what is left at the end of an epoch, one image too."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from one_step import build
from quick_and_slow import mostly_slow

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'ftu'
SIZE = 64


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=10, size=SIZE)


def last_batch(cfg, data, images):
    """Return the last batch of an epoch that the config's loader gives."""
    loader = cfg.train_dataloader
    assert loader.batch_size == 4
    loader.update(num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(data), split='all', indices=images)
    loader.dataset.pipeline[2].transforms = [
        dict(type='RandomResizedCrop', size=(SIZE, SIZE), p=1.0)
    ]
    (*_, last) = Runner.build_dataloader(loader, seed=0)
    return last


NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))
QUICK = ['mit_daformer_switch', 'r101_dlv3plus_switch']


@pytest.mark.parametrize('name', mostly_slow(NAMES, QUICK))
def test_a_last_batch_of_one_image_trains(name, data):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    batch = last_batch(cfg, data, images=5)
    model = build(cfg).train()
    losses = model.forward(**model.data_preprocessor(batch, True), mode='loss')
    sum(losses.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


GLOBAL_POOLING = ['r101_dlv3plus', 'enetb5_dlv3plus']


@pytest.mark.parametrize('name', mostly_slow(GLOBAL_POOLING, GLOBAL_POOLING[1:]))
def test_a_data_set_of_one_image_is_named(name, data):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    batch = last_batch(cfg, data, images=1)
    model = build(cfg).train()
    with pytest.raises(ValueError, match=r'holds one image, .* needs two'):
        model.forward(**model.data_preprocessor(batch, True), mode='loss')
