import numpy as np
import pytest
import tifffile
from small_models import noise

from mmseg_ftu.io.segment_cache import SegmentCache
from mmseg_ftu.io.sources import Limits, open_source
from mmseg_ftu.io.tiff_regions import TiffRegions
from mmseg_ftu.io.working_image import read_resized


def of_bytes(count):
    return np.zeros(count, np.uint8)


def test_what_was_used_longest_ago_is_given_up():
    cache = SegmentCache(largest=10)
    cache.keep('a', of_bytes(4))
    cache.keep('b', of_bytes(4))
    assert cache.get('a') is not None
    cache.keep('c', of_bytes(4))
    assert cache.get('b') is None
    assert cache.get('a') is not None
    assert cache.get('c') is not None
    assert cache.bytes == 8
    cache.keep('d', of_bytes(11))
    assert cache.get('d') is None
    assert cache.bytes == 8


@pytest.mark.parametrize('stored', ['pixels', 'planes'])
def test_a_tile_is_decoded_once_whatever_the_blocks(tmp_path, monkeypatch, stored):
    image = noise(1000, 1300)
    pixels = image if stored == 'pixels' else image.transpose(2, 0, 1).copy()
    planar = dict(planarconfig='separate') if stored == 'planes' else {}
    path = tmp_path / 'slide.tif'
    tifffile.imwrite(
        path, pixels, photometric='rgb', tile=(96, 112), compression='zlib', **planar
    )
    decoded = []
    original = TiffRegions._segment

    def counted(self, level, plane, index, *rest):
        decoded.append((plane.channels.start, index))
        return original(self, level, plane, index, *rest)

    monkeypatch.setattr(TiffRegions, '_segment', counted)
    kept, keep = [], SegmentCache.keep

    def measured(self, key, pixels):
        keep(self, key, pixels)
        kept.append(self.bytes)

    monkeypatch.setattr(SegmentCache, 'keep', measured)
    source = open_source(path, limits=Limits(whole_pixels=1000))
    try:
        half = read_resized(source, (437, 571))  # blocks of 128 px: 293 of the slide
    finally:
        source.close()
    tiles = 11 * 12 * (3 if stored == 'planes' else 1)
    assert len(decoded) == len(set(decoded)) == tiles
    assert half.shape == (437, 571, 3)
    # little more than a row of tiles was kept, and nothing is left
    assert 0 < max(kept) < 1.3 * 12 * 96 * 112 * 3
    assert source._cache.bytes == 0


def test_regions_of_a_slide_are_those_of_the_image(tmp_path):
    image = noise(300, 400)
    path = tmp_path / 'slide.tif'
    tifffile.imwrite(path, image, photometric='rgb', tile=(64, 64), compression='zlib')
    source = open_source(path, limits=Limits(whole_pixels=1000))
    for _ in range(2):  # the second time from the cache
        for top, left in [(0, 0), (30, 50), (250, 350), (0, 0)]:
            region = source.read(0, top, left, 50, 50)
            np.testing.assert_array_equal(
                region, image[top : top + 50, left : left + 50]
            )
            region[:] = 0  # what a caller does with it changes nothing
    source.close()
