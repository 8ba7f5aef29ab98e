"""The models of ``models/``: small, licensed, safe to load, and they find units."""

import json
import os
from pathlib import Path

import cv2
import pytest

from mmseg_ftu.evaluation.dice import dice

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('MMSEG_FTU_DATA', ROOT.parent / 'shared' / 'data'))
FOLDERS = sorted(path.parent for path in ROOT.glob('models/*/model.json'))
NAMES = [folder.name for folder in FOLDERS]
#: Model -> one of the tiles it was trained on: this shows that it works, not how well.
TILES = {
    'glomeruli-pas': 'kidney_glomeruli_pas/*/10177.png',
    'prostate-glands-he': 'prostate_rings/*/P4_A13_14_9_7.png',
}


def test_these_models_are_there():
    assert sorted(TILES) == NAMES


@pytest.mark.parametrize('folder', FOLDERS, ids=NAMES)
def test_it_may_be_passed_on_and_says_what_it_is(folder):
    assert sum(p.stat().st_size for p in folder.rglob('*')) < 5e6
    said = json.loads((folder / 'model.json').read_text('utf-8'))
    assert said['license'] == said['data_license'] == 'CC-BY-4.0'
    assert said['authors']
    assert 'doi.org' in said['data']
    assert all(row['images'] > 5 for row in said['scores'])
    card = (folder / 'README.md').read_text('utf-8')
    for row in said['scores']:
        assert f'{row["dice_mean"]:.3f}' in card
    table = (ROOT / 'models' / 'README.md').read_text('utf-8')
    (whole,) = (row for row in said['scores'] if row['group'] == 'all')
    assert f'[{folder.name}]({folder.name})' in table
    assert f'{whole["dice_mean"]:.3f}'.lstrip('0') in table


@pytest.mark.slow
@pytest.mark.parametrize('folder', FOLDERS, ids=NAMES)
def test_it_finds_units_on_real_tissue(folder):
    tile = DATA / TILES[folder.name].replace('*', 'images')
    if not tile.is_file():
        pytest.skip(f'{tile} is not there')
    from mmseg_ftu import FTUPredictor

    found = FTUPredictor(folder)(tile).mask
    mask = DATA / TILES[folder.name].replace('*', 'masks')
    truth = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) > 0
    assert found.shape == truth.shape
    assert dice(found == 1, truth) > 0.7
