"""From annotations to training, to a prediction, to units, and back to annotations."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import skin_annotations
import tifffile
from command_lines import CONFIG, SMALL, peak_memory, run
from large_slides import write_large_slides
from small_slides import write_slides

pytestmark = pytest.mark.slow
WORDS = ['--tile', 64, '--organ', 'kidney', '--folds', 2, '--workers', 0]


def go_round(folder: Path, suffix: str, pixel_size: float, *words) -> dict[str, int]:
    """Train on ``folder/slides`` and their annotations, and predict the slide a.

    The last step prepares what was predicted, at the same pixel size as at first.

    Returns:
        The peak memory of each command, MiB.
    """
    slides = folder / 'slides'
    peaks = {}
    prepare = [*words, '--pixel-size', pixel_size, *WORDS]
    peaks['prepare'] = peak_memory(
        *('prepare_slides', slides, folder / 'annotations', folder / 'data', *prepare)
    )
    run('tools/draw_prepared.py', folder / 'data', folder / 'page.html')
    run(
        *('tools/train.py', CONFIG, '--work-dir', folder / 'run', '--cfg-options'),
        *(*SMALL, 'train_dataloader.dataset.split=all'),
        data=folder / 'data',
    )
    predict = ['predict', CONFIG, folder / 'run' / 'epoch_2.pth', '--organ', 'kidney']
    predict += ['--input', slides / f'a.{suffix}', '--mode', 'tiles', '--tile', 128]
    peak_memory(*predict, '--output', folder / 'soft', '--save', 'probabilities')
    soft = tifffile.imread(folder / 'soft' / 'probabilities' / 'a.tif')
    threshold = float(np.median(soft[::7, ::7])) / 255  # some, and not all
    del soft
    peaks['predict'] = peak_memory(
        *(*predict, '--output', folder / 'hard', '--threshold', threshold),
        *('--min-area-px', 64, '--save', 'masks', 'geojson', 'units'),
    )
    (folder / 'one').mkdir()
    (folder / 'one' / f'a.{suffix}').symlink_to(slides / f'a.{suffix}')
    (folder / 'one' / f'b.{suffix}').symlink_to(slides / f'a.{suffix}')
    outlines = folder / 'hard' / 'geojson'
    (outlines / 'b.geojson').symlink_to(outlines / 'a.geojson')
    peaks['again'] = peak_memory(
        *('prepare_slides', folder / 'one', outlines, folder / 'again'),
        *('--pixel-size', pixel_size, '--negatives', 99, *WORDS),
    )
    return peaks


def read_mask(folder: Path) -> np.ndarray:
    (path,) = (folder / 'hard' / 'masks').glob('a.*')
    return cv2.imread(str(path), -1) if path.suffix == '.png' else tifffile.imread(path)


def compare(folder: Path, scale: float, allowed: float) -> None:
    """Compare what was prepared again with the predicted mask, averaged by area."""
    mask = (read_mask(folder) > 0).astype(np.float32)
    smaller = [round(side / scale) for side in mask.shape]
    share = cv2.resize(mask, smaller[::-1], interpolation=cv2.INTER_AREA)
    tiles = pd.read_csv(folder / 'again' / 'tiles.csv')
    seen = wrong = 0
    for tile in tiles[tiles.slide == 'a'].itertuples():
        found = cv2.imread(str(folder / 'again' / 'masks' / f'{tile.id}.png'), -1)
        top, left = round(tile.top / scale), round(tile.left / scale)
        part = share[top : top + 64, left : left + 64]
        found = found[: part.shape[0], : part.shape[1]]
        counted = (found != 255) & (abs(part - 0.5) > 1e-3)  # halves go either way
        seen += (part > 0.5)[counted].sum()
        wrong += ((found == 1) != (part > 0.5))[counted].sum()
    assert seen > 300
    assert wrong <= allowed * seen


def check_units(folder: Path) -> None:
    """Units are the objects of the written mask."""
    units = pd.read_csv(folder / 'hard' / 'units.csv')
    mask = read_mask(folder)
    assert units.area_px.sum() == np.count_nonzero(mask)
    (image,) = pd.read_csv(folder / 'hard' / 'units_by_image.csv').to_dict('records')
    assert image['units'] == len(units) > 0


def test_drawn_slides(tmp_path):
    write_slides(tmp_path)
    go_round(tmp_path, 'tif', 1.0)
    check_units(tmp_path)
    compare(tmp_path, 2, 0.02)


def test_a_real_slide(tmp_path, shared_data):
    """Its annotations were made by hand for the tests, by no pathologist."""
    slide = shared_data('stain_images') / 'cmu_small_region.svs'
    (tmp_path / 'slides').mkdir()
    (tmp_path / 'annotations').mkdir()
    for name in 'ab':
        (tmp_path / 'slides' / f'{name}.svs').symlink_to(slide)
        skin_annotations.write_annotations(tmp_path / 'annotations' / f'{name}.geojson')
    classes = ['--class', 'Epithelium', '--ignore', 'Keratin', '--region', 'Region']
    go_round(tmp_path, 'svs', 4 * 0.499, *classes)
    check_units(tmp_path)
    compare(tmp_path, 4, 0.02)


def test_memory_does_not_grow_with_the_slide(tmp_path):
    """20,000 x 20,000 px, which as an array are 1.2 GB."""
    peaks = {}
    for side, units in ((4096, 8), (20_000, 200)):
        folder = tmp_path / str(side)
        write_large_slides(folder, side, units)
        peaks[side] = go_round(folder, 'tif', 4.0, '--region', 'Region')
        check_units(folder)
        compare(folder, 16, 0.05)
    for command, peak in peaks[20_000].items():
        assert peak < peaks[4096][command] + 250, command
