import os

import cv2
import numpy as np
import pytest

from mmseg_ftu.preparation.atomic_files import write_bytes, write_png


def test_write_png_keeps_pixels_and_channels(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    before = rgb.copy()
    write_png(tmp_path / 'a.png', rgb)
    np.testing.assert_array_equal(rgb, before)
    np.testing.assert_array_equal(cv2.imread(tmp_path / 'a.png')[..., ::-1], rgb)
    write_png(tmp_path / 'm.png', rgb[..., 0])
    mask = cv2.imread(tmp_path / 'm.png', cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, rgb[..., 0])
    assert sorted(os.listdir(tmp_path)) == ['a.png', 'm.png']


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch, call):
    path = tmp_path / 'a.txt'
    write_bytes(path, b'old')

    def fail(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match='No space'):
        write_bytes(path, b'new and longer')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.txt']
