import numpy as np
import pytest
from mmseg.registry import TRANSFORMS


@pytest.mark.parametrize(
    ('extra', 'expected'),
    [({}, (64, 64)), (dict(original_shape=[3000, 2500]), (3000, 2500))],
)
def test_ori_shape(extra, expected):
    image = np.zeros((64, 64, 3), np.uint8)
    results = dict(img=image, ori_shape=(64, 64), img_shape=(64, 64), **extra)
    before = dict(results)
    out = TRANSFORMS.build(dict(type='RestoreOriginalShape'))(results)
    assert out == before | dict(ori_shape=expected)
    assert out['img'] is image
    assert results == before
