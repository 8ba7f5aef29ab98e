"""Loading keeps no more decoded originals in memory than it says."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from counting_budget import CountingBudget
from small_models import noise

from mmseg_ftu.inference import loader
from mmseg_ftu.inference.jobs import Job, list_jobs
from mmseg_ftu.inference.loaded_image import TiledImage
from mmseg_ftu.inference.loader import Loader
from mmseg_ftu.io.sources import ArraySource, Plan
from mmseg_ftu.io.stoppable import StoppedError
from mmseg_ftu.io.threads import ordered_map
from mmseg_ftu.recipe import Recipe, StainStep

LONG = (40, 3000)
FITTED = StainStep('macenko-1', 'resize-first', state={})


@pytest.fixture
def images(tmp_path):
    """Write a folder of PNG, JPEG, BMP and TIFF; returns it and the pixels of each."""
    folder = tmp_path / 'images'
    folder.mkdir()
    sides = [20, 90, 30, 64, 25, 80, 50, 35, 45, 100]
    for i, side in enumerate(sides):
        suffix = ('png', 'jpg', 'bmp', 'tif')[i % 4]
        cv2.imwrite(str(folder / f'{i}.{suffix}'), noise(side, 2 * side))
    return folder, [2 * side**2 for side in sides]


@pytest.mark.parametrize('mode', ['whole', 'tiles'])
def test_readers_keep_the_budget(images, mode):
    folder, pixels = images
    budget = CountingBudget(2 * 90**2)  # one image is larger
    load = Loader(Recipe(32, 2.0), mode, budget=budget)
    jobs = list_jobs(str(folder), pixel_size=1.0)
    for loaded in ordered_map(load, jobs, workers=6, ahead=len(jobs)):
        assert isinstance(loaded, TiledImage) == (mode == 'tiles')
    assert sorted(budget.asked) == sorted(pixels)
    assert 2 * 80**2 < budget.most <= max(pixels)
    assert budget.held == 0


def test_a_damaged_image_gives_its_pixels_back(images):
    folder, _ = images
    path = folder / '1.jpg'
    path.write_bytes(path.read_bytes()[:-500])
    load = Loader(Recipe(32, 2.0), budget=CountingBudget(1))
    with pytest.raises(ValueError, match=r'1\.jpg: .*truncated'):
        load(Job('1', path))
    assert load.budget.asked == [2 * 90**2]
    assert load.budget.held == 0


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
def test_an_original_that_was_decoded_is_left_as_a_preview(tmp_path, name):
    image = noise(*LONG)
    cv2.imwrite(str(tmp_path / name), image[..., ::-1])
    loaded = Loader(Recipe(64, None))(Job('a', tmp_path / name))
    assert loaded.shape == LONG
    assert loaded.source.shape == (27, 2048)
    expected = cv2.resize(image, (2048, 27), interpolation=cv2.INTER_AREA)
    assert (loaded.thumbnail(4000) == expected).all()
    assert loaded.thumbnail(100).shape == (1, 100, 3)
    loaded.close()


def test_tiles_need_no_original(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), noise(*LONG)[..., ::-1])
    load = Loader(Recipe(64, 2.0), 'tiles', temporary=tmp_path)
    loaded = load(Job('a', tmp_path / 'a.png', pixel_size=1.0))
    assert isinstance(loaded, TiledImage)
    assert not hasattr(loaded, 'source')
    assert loaded.thumbnail(5000).shape == (20, 1500, 3)
    loaded.close()


def test_large_tiffs_take_nothing_of_the_budget(tmp_path):
    path = tmp_path / 'large.tif'
    options = dict(photometric='rgb', tile=(256, 256), compression='deflate')
    tifffile.imwrite(path, np.full((6016, 6016, 3), 200, np.uint8), **options)
    load = Loader(Recipe(64, 400.0), 'whole', budget=CountingBudget(1))
    loaded = load(Job('a', path, pixel_size=1.0))
    assert loaded.image.shape == (64, 64, 3)
    assert load.budget.asked == []
    loaded.close()


class Slide(ArraySource):
    """A slide that takes its time, and counts how often it was read."""

    is_slide, by_rows = True, True

    def __init__(self) -> None:
        super().__init__(np.broadcast_to(np.uint8(200), (8192, 512, 3)))
        self.reads = 0

    def read(self, *region):
        self.reads += 1
        time.sleep(0.1)
        return super().read(*region)


def open_as(monkeypatch, slides):
    """Let the loader open these by the names of jobs."""
    plans = {Path(name): Plan(0, lambda s=s: s) for name, s in slides.items()}
    monkeypatch.setattr(loader, 'plan_source', plans.__getitem__)
    # they are read in the background as files are, though they are in memory
    monkeypatch.setattr(loader, 'ArraySource', type(None))
    return [Job(name, Path(name), pixel_size=1.0) for name in slides]


@pytest.mark.parametrize('stain', [None, FITTED], ids=['plain', 'stain'])
def test_a_stop_ends_the_reading_of_slides(monkeypatch, stain):
    """Four slides of which two are read at once: Ctrl-C must wait for none."""
    slides = {name: Slide() for name in 'abcd'}
    jobs = open_as(monkeypatch, slides)
    load = Loader(Recipe(64, 1.0, stain), 'tiles')
    results = ordered_map(load, jobs, 2, 3, load.stop)
    if stain is None:
        next(results)
    else:
        threading.Timer(0.5, load.stop).start()
        with pytest.raises(StoppedError):
            next(results)
    results.close()
    time.sleep(0.2)  # the thread that reads on is at its last block
    reads = sum(slide.reads for slide in slides.values())
    time.sleep(0.3)
    assert sum(slide.reads for slide in slides.values()) == reads
    assert all(slide.reads < 16 for slide in slides.values())


MEASURE = """
import json, resource, sys
from mmseg_ftu.inference import loader
from mmseg_ftu.inference.jobs import list_jobs
from mmseg_ftu.inference.loader import Loader
from mmseg_ftu.io.sources import ArraySource
from mmseg_ftu.io.threads import ordered_map
from mmseg_ftu.recipe import Recipe
from mmseg_ftu.inference.predict_folder import READERS

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

jobs = list_jobs(sys.argv[1], pixel_size=1.0)
before, load = peak(), Loader(Recipe(64, 200.0), 'whole')
kept = list(ordered_map(load, jobs, READERS, len(jobs)))
print(json.dumps([len(kept), peak() - before]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='ru_maxrss has other units')
def test_memory_of_large_pngs(tmp_path):
    """Four PNGs of 81 million px, of which two fit the default budget at once."""
    side = 9000
    image = np.full((side, side, 3), 220, np.uint8)
    cv2.imwrite(str(tmp_path / '0.png'), image)
    for i in (1, 2, 3):
        (tmp_path / f'{i}.png').symlink_to(tmp_path / '0.png')
    out = subprocess.run(
        [sys.executable, '-c', MEASURE, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    count, rise = json.loads(out.splitlines()[-1])
    assert count == 4
    # 7 bytes a pixel while it is decoded; if four are kept they take 12 and more
    assert rise < 2 * 10 * side**2


RECIPE = Recipe(100, 2.0)  # px on the longer side, um/px


@pytest.mark.parametrize(
    ('pixel_size', 'shape', 'expected'),
    [
        (None, (150, 200), (75, 100)),  # of unknown size: as in training
        (1.0, (150, 200), (75, 100)),  # of the scale of training: the same
        (0.95, (150, 200), (75, 100)),  # nearly
        (0.5, (150, 200), (38, 50)),  # half as far across
        (2.0, (150, 200), (150, 200)),
        (1.0, (300, 400), (150, 200)),  # twice as much tissue as in training
        (4.0, (60, 80), (120, 160)),
    ],
)
def test_auto_shows_files_at_the_pixel_size_of_training(pixel_size, shape, expected):
    image = noise(*shape)
    job = Job('a', Path('a.png'), pixel_size=pixel_size)
    loaded = Loader(RECIPE)(job, ArraySource(image))
    if isinstance(loaded, TiledImage):
        assert loaded.working.shape == expected
    else:
        assert loaded.image.shape[:2] == expected
    assert isinstance(loaded, TiledImage) == (expected != (75, 100))


@pytest.mark.parametrize('of_a_table', [dict(prepared={}), dict(original_shape=(8, 8))])
def test_images_of_a_table_are_shown_as_in_training(of_a_table):
    if 'prepared' in of_a_table:
        of_a_table = dict(prepared=dict(size=100))
    job = Job('a', Path('a.png'), pixel_size=0.5, **of_a_table)
    loaded = Loader(RECIPE)(job, ArraySource(noise(200, 200)))
    assert loaded.image.shape[:2] == (100, 100)


def test_what_is_far_too_coarse_is_resized_with_a_warning():
    job = Job('a', Path('a.png'), pixel_size=9.0)
    with pytest.warns(UserWarning, match='more than 4 times that of training, 2 um/px'):
        loaded = Loader(RECIPE)(job, ArraySource(noise(60, 80)))
    assert loaded.image.shape[:2] == (75, 100)


def test_what_is_coarse_but_of_the_right_scale_is_not_warned_of(recwarn):
    job = Job('a', Path('a.png'), pixel_size=10.0)
    Loader(RECIPE)(job, ArraySource(noise(15, 20)))
    assert [w for w in recwarn if 'times that of training' in str(w.message)] == []


def test_auto_leaves_a_file_whole_where_stains_are_fitted_on_it():
    job = Job('a', Path('a.png'), pixel_size=0.5)
    loaded = Loader(RECIPE, by_pixel_size=False)(job, ArraySource(noise(200, 200)))
    assert loaded.image.shape[:2] == (100, 100)


@pytest.mark.parametrize(
    'known', [dict(pixel_size=1.0), dict(original_shape=(401, 300))]
)
def test_a_large_image_of_unknown_pixel_size_is_warned_of(recwarn, known):
    image = ArraySource(noise(401, 300))
    Loader(RECIPE, 'whole')(Job('a', Path('a.png')), image)
    Loader(RECIPE)(Job('a', Path('a.png'), **known), image)
    Loader(RECIPE)(Job('a', Path('a.png')), ArraySource(noise(400, 300)))
    Loader(Recipe(100, None))(Job('a', Path('a.png')), image)
    assert [w for w in recwarn if 'is seen at' in str(w.message)] == []
    with pytest.warns(UserWarning, match='of 401 px is seen at 100 px.*--pixel-size'):
        Loader(RECIPE)(Job('a', Path('a.png')), image)
