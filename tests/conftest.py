"""Fixtures shared by all tests."""

import json
import os
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
# Before torch is imported, here and in the processes that tests start: threads of small
# models that wait for one another are slower than one, many times so on a busy machine.
os.environ.setdefault('OMP_NUM_THREADS', '1')
ROOT = Path(__file__).resolve().parents[1]
# Files of many minutes begin first, so that no process waits for the last one alone.
LONGEST = 'test_site.py', 'test_tutorials.py', 'test_examples.py'


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def _mmseg_scope():
    """Register everything and build from mmseg's registries, as a config does."""
    from mmengine.registry import init_default_scope

    import mmseg_ftu.plugin  # noqa: F401

    init_default_scope('mmseg')


@pytest.fixture(scope='session')
def shared_data():
    """Return a function: name of an optional data folder -> its path, or skip."""
    base = Path(os.environ.get('MMSEG_FTU_DATA', ROOT.parent / 'shared' / 'data'))

    def find(name: str) -> Path:
        if not (base / name).is_dir():
            pytest.skip(f'optional data folder {name!r} not found (MMSEG_FTU_DATA)')
        return base / name

    return find


@pytest.fixture
def make_prepared(tmp_path):
    """Return `write_prepared` for the folder of this test."""
    return partial(write_prepared, tmp_path)


@pytest.fixture(scope='module')
def make_prepared_once(tmp_path_factory):
    """Return `write_prepared` for a folder that the tests of a module share."""
    return partial(write_prepared, tmp_path_factory.mktemp('prepared'))


def write_prepared(
    parent: Path,
    n: int = 10,
    size: int | None = 64,
    original: tuple[int, int] = (96, 96),
    organs: tuple[str, ...] = ('kidney', 'lung', 'spleen'),
    folds: int = 5,
    name: str = 'prepared',
) -> Path:
    """Write a small prepared folder and return its path.

    Image i has an organ and a fold by turns, a disc as its unit, the colours of a
    stained section, and id str(100 + i).
    """
    root = parent / name
    for folder in ('images', 'masks', 'masks_original'):
        (root / folder).mkdir(parents=True)
    rows = ['id,organ,data_source,img_height,img_width,pixel_size,age,sex,group,fold']
    scale = size / max(original) if size else 1
    shape = tuple(round(side * scale) for side in original)
    for i in range(n):
        source = ('HPA', 'Hubmap')[i % 2]
        pixel_size = '0.4' if source == 'HPA' else ''
        organ, fold = organs[i % len(organs)], i % folds
        rows.append(
            f'{100 + i},{organ},{source},{original[0]},{original[1]},{pixel_size},'
            f'60,Male,,{fold}'
        )
        image, mask = draw_disc(shape, seed=i)
        cv2.imwrite(str(root / 'images' / f'{100 + i}.png'), image[..., ::-1])
        cv2.imwrite(str(root / 'masks' / f'{100 + i}.png'), mask)
        _, large = draw_disc(original, seed=i)
        cv2.imwrite(str(root / 'masks_original' / f'{100 + i}.png'), large)
    (root / 'folds.csv').write_text('\n'.join(rows) + '\n')
    settings = {'size': size, 'folds': folds}
    (root / 'manifest.json').write_text(json.dumps({'settings': settings}))
    return root


def draw_disc(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an RGB image (H, W, 3) and its mask (H, W): a dark disc on pale tissue."""
    rng = np.random.default_rng(seed)
    height, width = shape
    mask = np.zeros(shape, np.uint8)
    centre = (
        round(width * rng.uniform(0.3, 0.7)),
        round(height * rng.uniform(0.3, 0.7)),
    )
    cv2.circle(mask, centre, round(min(shape) * rng.uniform(0.15, 0.3)), 1, -1)
    colours = np.array([[225, 205, 220], [130, 70, 150]])
    noise = rng.integers(-12, 13, (*shape, 3))
    return np.clip(colours[mask] + noise, 0, 255).astype(np.uint8), mask
