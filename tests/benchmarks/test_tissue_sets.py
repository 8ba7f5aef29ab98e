"""Preparing sets of tissue: from folders that are made here."""

import cv2
import numpy as np
import pandas as pd
import pytest
import tissue_sets


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Write two sets of images with masks."""
    folder = tmp_path / 'data'
    sets = dict(kidney_glomeruli_pas='tile', prostate_rings='gland')
    for name, stem in sets.items():
        for part in ('images', 'masks'):
            (folder / name / part).mkdir(parents=True)
        for i in range(6):
            image = np.full((40, 60, 3), 30 * i, np.uint8)
            mask = np.zeros((40, 60), np.uint8)
            mask[5:20, 5:30] = 1
            cv2.imwrite(str(folder / name / 'images' / f'{stem}_{i}.png'), image)
            cv2.imwrite(str(folder / name / 'masks' / f'{stem}_{i}.png'), mask)
    monkeypatch.setattr(tissue_sets, 'DATA', folder)
    return folder


def test_a_set_is_prepared_once_and_nothing_else_is_touched(data, tmp_path):
    (tmp_path / 'own' / 'raw').mkdir(parents=True)
    (tmp_path / 'own' / 'raw' / 'train.csv').write_text('mine')
    source = tissue_sets.SETS['kidney tiles']
    tissue = tissue_sets.prepare(source, tmp_path / 'own')
    assert len(tissue.table) == 6
    assert {path.name for path in (tmp_path / 'own').iterdir()} == {'raw', 'prepared'}
    assert (tmp_path / 'own' / 'raw' / 'train.csv').read_text() == 'mine'
    before = (tmp_path / 'own' / 'prepared' / 'manifest.json').stat().st_mtime_ns
    tissue_sets.prepare(source, tmp_path / 'own')
    after = (tmp_path / 'own' / 'prepared' / 'manifest.json').stat().st_mtime_ns
    assert after == before
    assert set(pd.read_csv(tmp_path / 'own/prepared/folds.csv').organ) == {'kidney'}


def test_another_set_is_not_taken_for_it(data, tmp_path):
    tissue_sets.prepare(tissue_sets.SETS['kidney tiles'], tmp_path / 'own')
    with pytest.raises(ValueError, match='holds kidney_glomeruli_pas, not prostate_ri'):
        tissue_sets.prepare(tissue_sets.SETS['prostate glands'], tmp_path / 'own')


def test_a_set_that_is_not_there_is_named(data, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'glas_bench.*MMSEG_FTU_DATA names'):
        tissue_sets.prepare(tissue_sets.SETS['glas'], tmp_path / 'own')
    assert not (tmp_path / 'own').exists()
