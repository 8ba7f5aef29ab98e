"""Slides without the library that reads them; with it see test_sources.py."""

import sys

import cv2
import numpy as np
import pytest
import tifffile

from mmseg_ftu.io.sources import open_source

IMAGE = np.full((64, 80, 3), 200, np.uint8)


@pytest.fixture
def no_openslide(monkeypatch):
    """Hide OpenSlide, as without the extra."""
    monkeypatch.setitem(sys.modules, 'openslide', None)


@pytest.mark.parametrize('name', ['a.svs', 'a.mrxs', 'pyramid.tif'])
def test_without_the_extra_slides_are_refused(tmp_path, no_openslide, name):
    path = tmp_path / name
    with tifffile.TiffWriter(path) as file:
        file.write(IMAGE, subifds=1, tile=(16, 16))
        file.write(IMAGE[::2, ::2], subfiletype=1, tile=(16, 16))
    with pytest.raises(ImportError, match=rf"{name}: .*'mmseg_ftu\[slides\]'"):
        open_source(path)


@pytest.mark.parametrize('name', ['a.png', 'a.tiff'])
def test_images_need_no_openslide(tmp_path, no_openslide, name):
    cv2.imwrite(str(tmp_path / name), IMAGE)
    assert open_source(tmp_path / name).shape == (64, 80)
