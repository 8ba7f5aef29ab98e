"""Masks of another size than the image are painted onto it."""

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import VISUALIZERS
from mmseg.structures import SegDataSample


def test_masks_are_brought_to_the_size_of_the_image(tmp_path):
    visualizer = VISUALIZERS.build(
        dict(type='FTULocalVisualizer', name=str(tmp_path), alpha=1.0)
    )
    visualizer.dataset_meta = dict(
        classes=('background', 'ftu'), palette=[[0, 0, 0], [255, 200, 0]]
    )
    mask = torch.zeros(1, 120, 120)
    mask[:, 30:90, 30:90] = 1
    sample = SegDataSample(
        gt_sem_seg=PixelData(data=mask.long()), pred_sem_seg=PixelData(data=mask)
    )
    image = np.full((40, 40, 3), 90, np.uint8)
    visualizer.add_datasample(
        'a', image, sample, out_file=str(tmp_path / 'a.png'), with_labels=False
    )
    picture = cv2.imread(str(tmp_path / 'a.png'))[..., ::-1].astype(int)
    assert picture.shape == (40, 80, 3)
    for left in (0, 40):  # mask, then prediction
        yellow = (abs(picture[:, left : left + 40] - [255, 200, 0]) < 8).all(-1)
        inside = np.zeros((40, 40), bool)
        inside[10:30, 10:30] = True
        assert np.array_equal(yellow, inside)
    assert sample.pred_sem_seg.data.shape == (1, 120, 120)
    assert (image == 90).all()
