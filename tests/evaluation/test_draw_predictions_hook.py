"""Pictures of a test and a validation show what was scored."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from mmseg.structures import SegDataSample
from quick_and_slow import mostly_slow
from small_models import constant, save, small_config

from mmseg_ftu.engine.runner import build_runner, evaluate, load_config
from mmseg_ftu.evaluation.draw_predictions_hook import draw_prediction

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / 'configs/tissue/coat_slim_daformer.py'
GREEN, YELLOW = [0, 200, 0], [255, 220, 0]


@pytest.fixture
def work(make_prepared, tmp_path):
    """A config and a checkpoint that says .3 everywhere, and six prepared images.

    Foreground for lung (.15 and .1), not for kidney and spleen (.5 and .4).
    """
    data = make_prepared(n=6, size=64, original=(96, 96), folds=2)
    cfg = Config.fromfile(BASE)
    small = small_config()
    cfg.model, cfg.custom_imports = small.model, small.custom_imports
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.dataset.data_root = str(data)
        loader.dataset.split = 'all'
    cfg.train_dataloader.dataset.pipeline[2].transforms[0].size = (32, 32)
    cfg.log_level = 'WARNING'
    cfg.dump(tmp_path / 'config.py')
    save(constant(small, 0.3), tmp_path / 'model.pth')
    return tmp_path


def test_a_sample_without_a_mask_and_with_one_of_another_size():
    image = np.full((40, 40, 3), 90, np.uint8)
    probability = torch.zeros(1, 20, 20)
    probability[:, 1:19, 2:9] = 0.4
    sample = SegDataSample(
        seg_logits=PixelData(data=probability),
        pred_sem_seg=PixelData(data=torch.zeros(1, 20, 20)),
    )
    assert (draw_prediction(image, sample) == 90).all()
    yellow = outline(2, 4, 38, 18)
    picture = draw_prediction(image, sample, 0.3)
    assert (picture[yellow] == YELLOW).all()
    assert (picture[~yellow] == 90).all()
    mask = torch.zeros(1, 120, 120, dtype=torch.int64)
    mask[:, 30:90, 30:90] = 1
    mask[:, :6] = 255
    sample.gt_sem_seg = PixelData(data=mask)
    picture = draw_prediction(image, sample, 0.3)
    green = outline(10, 10, 30, 30) & ~yellow
    assert (picture[green] == GREEN).all()
    assert (picture[~green & ~yellow] == 90).all()
    assert (image == 90).all()


def outline(top, left, bottom, right):
    """The outermost pixels of a rectangle."""
    filled = np.zeros((40, 40), np.uint8)
    filled[top:bottom, left:right] = 1
    return filled != cv2.erode(filled, np.ones((3, 3)))


def paths_of(work):
    return str(work / 'config.py'), str(work / 'model.pth'), str(work / 'run')


def check_pictures(folder, work):
    """Each image with the outline of its mask, and of a prediction of all, if lung."""
    table = pd.read_csv(work / 'prepared' / 'folds.csv', dtype={'id': str})
    names = sorted(p.name for p in folder.glob('*') if not p.name.startswith('.'))
    assert names == [f'{name}.png' for name in sorted(table.id)]
    for row in table.itertuples():
        picture = cv2.imread(str(folder / f'{row.id}.png'))[..., ::-1]
        image, mask = (
            cv2.imread(str(work / 'prepared' / kind / f'{row.id}.png'), -1)
            for kind in ('images', 'masks')
        )
        border = np.ones((64, 64), bool)
        border[1:-1, 1:-1] = False
        assert (picture[border] == YELLOW).all() == (row.organ == 'lung')
        drawn = (picture != image[..., ::-1]).any(-1) & ~border
        assert (picture[drawn] == GREEN).all()
        edge = cv2.dilate(mask, np.ones((5, 5))) != cv2.erode(mask, np.ones((5, 5)))
        assert drawn.sum() > 20
        assert not (drawn & ~edge).any()  # the tissue is as it was


@pytest.mark.parametrize('tta', mostly_slow([False, True], [False]))
def test_a_picture_of_each_tested_image(work, tta):
    for _ in range(2):  # the pictures of an earlier run are replaced
        evaluate(*paths_of(work), show_dir=str(work / 'shown'), tta=tta)
    check_pictures(work / 'shown', work)
    assert not list((work / 'run').rglob('vis_image'))


def test_thresholds_of_the_command_line_are_drawn(work):
    options = {'test_evaluator.thresholds.HPA.lung': 0.4}
    shown = work / 'shown'
    evaluate(*paths_of(work), show_dir=str(shown), cfg_options=options)
    whole = {}
    for path in shown.glob('*.png'):
        whole[path.stem] = (cv2.imread(str(path))[0, :, ::-1] == YELLOW).all()
    table = pd.read_csv(work / 'prepared' / 'folds.csv', dtype={'id': str})
    lung = table[(table.organ == 'lung')].set_index('id').data_source
    assert {name for name in whole if whole[name]} == {*lung.index[lung == 'Hubmap']}


def test_images_of_others_are_not_replaced(work):
    images = work / 'prepared' / 'images'
    before = {path: path.read_bytes() for path in images.iterdir()}
    with pytest.raises(ValueError, match='name a folder beside it'):
        evaluate(*paths_of(work), show_dir=str(images))
    assert {path: path.read_bytes() for path in images.iterdir()} == before
    with pytest.raises(ValueError, match=r'model\.pth is a file'):
        evaluate(*paths_of(work), show_dir=str(work / 'model.pth'))


def test_windows_on_request(work, monkeypatch):
    shown = []
    monkeypatch.setattr(
        Visualizer,  # an instance of another test may serve
        'show',
        lambda self, picture, win_name, wait_time: shown.append((win_name, wait_time)),
    )
    evaluate(*paths_of(work), show=True, wait_time=0.5)
    assert shown == [(str(100 + i), 0.5) for i in range(6)]


def test_validation_draws_into_the_back_ends(work):
    cfg = load_config(str(work / 'config.py'), str(work / 'run'))
    cfg.default_hooks.visualization.update(draw=True, interval=1)
    cfg.default_hooks.checkpoint = None
    cfg.visualizer.update(
        vis_backends=[dict(type='LocalVisBackend')], name='validation'
    )
    cfg.load_from = str(work / 'model.pth')
    cfg.val_evaluator.thresholds = dict(default=0.2)
    cfg.val_dataloader.batch_size = 6
    runner = build_runner(cfg)
    runner.load_or_resume()
    runner.val_loop.run()
    (path,) = (work / 'run').rglob('vis_image/*.png')
    picture = cv2.imread(str(path))[..., ::-1]
    assert (picture[0] == YELLOW).all()  # .3 is above the metric's .2, not the head's
