import threading
import time

import numpy as np
import pytest
from counting_budget import CountingBudget
from PIL import Image

from mmseg_ftu.io.images import read_size
from mmseg_ftu.io.pixel_budget import PixelBudget, pixels_of
from mmseg_ftu.io.raster import MAX_PIXELS
from mmseg_ftu.preparation.pair_files import PairFolders
from mmseg_ftu.preparation.pairs import list_pairs
from mmseg_ftu.preparation.prepare_folder import prepare_folder


def start(budget, pixels, order=None):
    """Hold pixels in a thread; returns it and two events: held, and to let go."""
    held, let_go = threading.Event(), threading.Event()

    def work():
        with budget.hold(pixels):
            if order is not None:
                order.append(pixels)
            held.set()
            let_go.wait(30)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, held, let_go


def stand_in_line(budget, count=1):
    """Tell whether so many threads come to wait; they can't hold anything then."""
    for _ in range(10_000):
        with budget._changed:
            if len(budget._turns) == count:
                return True
        time.sleep(0.001)
    return False


def test_what_fits_is_held_together_and_no_more():
    budget = PixelBudget(100)
    first, second = start(budget, 60), start(budget, 40)
    assert first[1].wait(30)
    assert second[1].wait(30)
    assert budget.held == 100
    third = start(budget, 1)
    assert stand_in_line(budget)
    assert not third[1].is_set()
    second[2].set()
    assert third[1].wait(30)
    assert budget.held == 61
    for thread, _, let_go in (first, second, third):
        let_go.set()
        thread.join(30)
    assert budget.held == 0


def test_an_image_above_the_budget_is_held_alone():
    budget = PixelBudget(100)
    small = start(budget, 10)
    assert small[1].wait(30)
    large = start(budget, 250)
    assert stand_in_line(budget)
    assert not large[1].is_set()
    small[2].set()
    assert large[1].wait(30)
    after = start(budget, 10)
    assert stand_in_line(budget)
    assert not after[1].is_set()
    large[2].set()
    assert after[1].wait(30)
    after[2].set()


def test_a_large_image_is_not_passed_by_small_ones():
    budget, order = PixelBudget(100), []
    first = start(budget, 60, order)
    assert first[1].wait(30)
    large = start(budget, 90, order)
    assert stand_in_line(budget)
    small = start(budget, 10, order)  # would fit beside the first
    assert stand_in_line(budget, 2)
    assert not small[1].is_set()
    first[2].set()
    assert large[1].wait(30)
    assert small[1].wait(30)
    assert order == [60, 90, 10]
    for _, _, let_go in (large, small):
        let_go.set()


def test_an_error_gives_the_pixels_back():
    budget = PixelBudget(100)
    with pytest.raises(ValueError, match='damaged'), budget.hold(100):
        raise ValueError('damaged')
    assert budget.held == 0
    with budget.hold(0):  # takes no turn
        assert budget.held == 0


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match='pixels=0: give at least 1'):
        PixelBudget(0)
    assert PixelBudget().pixels == MAX_PIXELS


@pytest.mark.parametrize('name', ['a.png', 'a.jpg', 'a.bmp', 'a.tif'])
def test_pixels_come_from_the_header_alone(tmp_path, name):
    path = tmp_path / name
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    assert pixels_of(path) == 64 * 48
    if name != 'a.tif':  # the directory of a TIFF may stand at its end
        path.write_bytes(path.read_bytes()[:1000])
        assert read_size(path) == (64, 48)
    path.write_bytes(b'')
    assert pixels_of(path) == 0
    assert pixels_of(tmp_path / 'nowhere.png') == 0


def test_preparation_keeps_the_budget(tmp_path):
    """Images and masks of different sizes, in eight threads."""
    source = tmp_path / 'source'
    for folder in ('images', 'masks'):
        (source / folder).mkdir(parents=True)
    sides = [20, 60, 30, 64, 25, 40, 50, 35, 45, 55, 62, 21]
    for i, side in enumerate(sides):
        image = np.full((side, side, 3), 200, np.uint8)
        Image.fromarray(image).save(source / 'images' / f'{i}.png')
        Image.fromarray(image[..., 0] // 200).save(source / 'masks' / f'{i}.png')
    records, faults = list_pairs(PairFolders(source, organ='kidney'))
    budget = CountingBudget(64 * 64)
    settings = dict(size=16, folds=2, seed=0, resized=False, empty='refuse')
    prepare_folder(
        source, tmp_path / 'out', records, faults, settings, 8, False, budget
    )
    assert sorted(budget.asked) == sorted(2 * [side**2 for side in sides])
    assert budget.most <= 64 * 64
    assert budget.held == 0
