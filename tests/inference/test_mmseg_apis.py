"""mmseg's own ways to predict take our configs as they are."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.registry import MODELS
from small_models import noise, save

from mmseg_ftu import FTUPredictor
from mmseg_ftu.datasets import HuBMAPDataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / 'configs/tissue/coat_slim_daformer.py')


@pytest.fixture
def checkpoint(tmp_path):
    MMLogger.get_instance(tmp_path.name)  # the log file of an earlier run may be closed
    model = MODELS.build(Config.fromfile(CONFIG).model)
    model.init_weights()
    return str(save(model, tmp_path / 'best.pth', **HuBMAPDataset.METAINFO))


@pytest.fixture
def picture(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), noise(96, 128)[..., ::-1])
    return str(tmp_path / 'a.png')


def test_inference_model(checkpoint, picture):
    model = init_model(CONFIG, checkpoint, device='cpu')
    assert tuple(model.dataset_meta['classes']) == ('background', 'ftu')
    result = inference_model(model, picture)
    probability = result.seg_logits.data[0].numpy()
    assert result.pred_sem_seg.data.shape == (1, 96, 128)
    ours = FTUPredictor(CONFIG, checkpoint, views=['identity'])(picture)
    np.testing.assert_allclose(probability, ours.probability, atol=1e-5)
    array = cv2.imread(picture)
    again = inference_model(init_model(CONFIG, checkpoint, device='cpu'), array)
    assert (again.seg_logits.data == result.seg_logits.data).all()


def test_inferencer(checkpoint, picture, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        inferencer = MMSegInferencer(model=CONFIG, weights=checkpoint, device='cpu')
        result = inferencer(picture, out_dir=str(tmp_path / 'out'))
    texts = [str(warning.message) for warning in caught]
    assert not [text for text in texts if 'Cityscapes' in text]
    ours = FTUPredictor(CONFIG, checkpoint, views=['identity'])(picture)
    assert result['predictions'].shape == (96, 128)
    assert ((result['predictions'] == 1) == (ours.mask == 1)).mean() > 0.999
    assert set(np.unique(result['predictions'])) <= {0, 1}
    (drawn,) = (tmp_path / 'out' / 'vis').iterdir()
    shown = cv2.imread(str(drawn))[..., ::-1].astype(float)
    assert shown.shape[:2] == (96, 128)
    palette = np.array(HuBMAPDataset.METAINFO['palette'], float)
    # mmseg's opacity is 0.8; it writes the classes' names here and there
    blended = 0.2 * cv2.imread(picture)[..., ::-1] + 0.8 * palette[ours.mask]
    assert np.median(np.abs(shown - blended)) < 3
