import errno
import gc
import threading
import weakref

import cv2
import numpy as np
import pytest
from small_models import noise

from mmseg_ftu.io.resizing import resize_image
from mmseg_ftu.io.sources import ArraySource
from mmseg_ftu.io.working_image import (
    WorkingImage,
    blocks,
    read_resized,
    read_scaled,
    resize_weights,
)


class Pyramid:
    """A source with several levels."""

    by_rows = False

    def __init__(self, *images):
        self.images = images
        self.levels = [image.shape[:2] for image in images]
        self.shape = self.levels[0]
        self.asked = set()

    def read(self, level, top, left, height, width):
        self.asked.add(level)
        return self.images[level][top : top + height, left : left + width]


@pytest.mark.parametrize(
    ('shape', 'new_shape'),
    [
        ((300, 400), (75, 100)),  # whole factors
        ((301, 397), (77, 101)),
        ((301, 397), (300, 396)),
        ((301, 397), (1, 1)),
        ((100, 70), (100, 70)),
        ((100, 70), (101, 71)),  # up
        ((100, 70), (333, 233)),
        ((1, 50), (1, 20)),
        ((50, 1), (20, 1)),
        ((1, 1), (7, 7)),
        ((3, 90), (10, 300)),
    ],
)
def test_any_block_is_that_of_the_resized_image(shape, new_shape):
    image = noise(*shape)
    expected = resize_image(image, new_shape).reshape(*new_shape, 3).astype(int)
    source, (height, width) = ArraySource(image), new_shape
    rng = np.random.default_rng(0)
    boxes = [(0, 0, height, width), (height - 1, width - 1, 1, 1)]
    for _ in range(5):
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, n, 2)) for n in new_shape)
        boxes.append((y0, x0, y1 + 1 - y0, x1 + 1 - x0))
    for top, left, h, w in boxes:
        block = read_scaled(source, new_shape, (top, left, h, w))
        assert block.dtype == np.uint8
        assert block.shape == (h, w, 3)
        difference = block - expected[top : top + h, left : left + w]
        assert np.abs(difference).max() <= 1
    whole = read_scaled(source, new_shape, boxes[0])
    assert (read_resized(source, new_shape) == whole).all()


@pytest.mark.parametrize('factor', [2, 3, 8])
def test_blocks_of_a_whole_factor_are_exactly_those_of_preparation(factor):
    image = noise(factor * 60, factor * 41)
    expected = resize_image(image, (60, 41))
    for box in ((0, 0, 60, 41), (7, 5, 20, 30), (59, 40, 1, 1)):
        top, left, height, width = box
        block = read_scaled(ArraySource(image), (60, 41), box)
        assert (block == expected[top : top + height, left : left + width]).all()


@pytest.mark.parametrize(
    ('new_shape', 'level'),
    [((400, 300), 0), ((201, 150), 0), ((200, 150), 1), ((60, 45), 1), ((50, 30), 2)],
)
def test_the_smallest_level_that_is_large_enough_is_read(new_shape, level):
    image = noise(400, 300)
    # the levels differ, so that the one that was read can be told
    levels = image, 255 - resize_image(image, (200, 150)), noise(50, 38, seed=7)
    source = Pyramid(*levels)
    found = read_resized(source, new_shape)
    assert source.asked == {level}
    difference = found.astype(int) - resize_image(levels[level], new_shape)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize('size', [1, 2, 7, 100, 3001])
@pytest.mark.parametrize('new_size', [1, 3, 64, 99, 768])
def test_weights_sum_to_one(size, new_size):
    first, weights = resize_weights(size, new_size, 0, new_size)
    assert first == 0
    assert weights.shape == (new_size, size)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


def test_averaging_is_cv2_on_a_single_line():
    line = np.random.default_rng(0).random((1, 301), np.float32)
    _, weights = resize_weights(301, 77, 0, 77)
    expected = cv2.resize(line, (77, 1), interpolation=cv2.INTER_AREA)[0]
    np.testing.assert_allclose(weights @ line[0], expected, atol=1e-5)


@pytest.mark.parametrize('shape', [(1, 1), (512, 512), (513, 1100), (5, 2000)])
def test_blocks_cover_a_shape_once(shape):
    count = np.zeros(shape, int)
    for top, left, height, width in blocks(shape):
        assert min(height, width) >= 1
        assert max(height, width) <= 512
        count[top : top + height, left : left + width] += 1
    assert (count == 1).all()


def test_a_working_image_reads_back_and_leaves_nothing(tmp_path):
    image = noise(700, 530)
    working = WorkingImage((700, 530), tmp_path)
    order = list(blocks((700, 530), 128))
    np.random.default_rng(0).shuffle(order)
    for top, left, height, width in order:
        working.write(top, left, image[top : top + height, left : left + width])
    assert working.levels == [working.shape] == [(700, 530)]
    assert (working.read(0, 0, 0, 700, 530) == image).all()
    assert (working.read(0, 650, 3, 50, 527) == image[650:, 3:]).all()
    assert [*tmp_path.iterdir()] == []  # also while it is open: a kill leaves none
    working.close()


class SlowSource(ArraySource):
    """A source that waits before it reads below a row."""

    def __init__(self, image, row):
        super().__init__(image)
        self.row, self.may_go_on, self.is_closed = row, threading.Event(), False

    def read(self, level, top, left, height, width):
        if top + height > self.row:
            assert self.may_go_on.wait(60)
        return super().read(level, top, left, height, width)

    def close(self):
        self.is_closed = True


@pytest.mark.parametrize('by_rows', [False, True])
def test_the_upper_part_is_read_while_the_lower_one_is_made(tmp_path, by_rows):
    image = noise(1600, 1100)
    source = SlowSource(image, 600)
    source.by_rows = by_rows
    working = WorkingImage((1600, 1100), tmp_path)
    working.fill_behind(source, lambda: None)
    assert (working.read(0, 0, 0, 200, 1100) == image[:200]).all()
    assert not source.is_closed
    source.may_go_on.set()
    assert (working.read(0, 0, 0, 1600, 1100) == image).all()
    working.close()
    assert source.is_closed


def test_closing_ends_the_filling(tmp_path):
    source = SlowSource(noise(3000, 520), 600)
    working = WorkingImage((3000, 520), tmp_path)
    working.fill_behind(source, lambda: None)
    working.read(0, 0, 0, 512, 520)
    source.may_go_on.set()
    working.close()
    assert source.is_closed


def test_a_full_disk_is_named_and_does_not_keep_it_from_closing(tmp_path, monkeypatch):
    working = WorkingImage((600, 700), tmp_path)
    file = working._file

    class Full:
        def seek(self, place):
            raise OSError(errno.ENOSPC, 'No space left on device')

        def close(self):
            file.close()
            raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(working, '_file', Full())
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}'"):
        working.fill(ArraySource(noise(600, 700)))
    working.close()
    assert file.closed


def test_a_block_is_noted_when_it_is_filled(tmp_path):
    image, seen = noise(600, 700), []
    working = WorkingImage((600, 700), tmp_path)
    working.fill(ArraySource(image), lambda block: seen.append(block.shape))
    assert seen == [(512, 512, 3), (512, 188, 3), (88, 512, 3), (88, 188, 3)]
    assert (working.read(0, 0, 0, 600, 700) == image).all()


def test_an_image_that_is_forgotten_takes_its_file_along(tmp_path):
    """Who predicts slides in a loop, and closes none, must not fill the disk."""
    ended = threading.Event()
    working = WorkingImage((600, 700), tmp_path)
    working.fill_behind(ArraySource(noise(600, 700)), ended.set)
    working.read(0, 0, 0, 600, 700)
    assert ended.wait(60)
    working._filling._thread.join()
    forgotten = weakref.ref(working)
    del working
    gc.collect()
    assert forgotten() is None
