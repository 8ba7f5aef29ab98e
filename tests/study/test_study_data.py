import shutil

import cv2
import pandas as pd
import pytest

from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.study_data import data_id, patients_of

COMPRESS_LESS = [cv2.IMWRITE_PNG_COMPRESSION, 0]


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=8, folds=2)


@pytest.fixture
def folder(data, tmp_path):
    return shutil.copytree(data, tmp_path / 'data')


def name_of(folder):
    return data_id(PreparedFolder.open(folder))


def first_file(folder, part):
    return sorted((folder / part).iterdir())[0]


def test_the_name_is_of_the_pixels_not_of_their_files(folder, tmp_path):
    before = name_of(folder)
    for path in folder.glob('*/*.png'):
        cv2.imwrite(str(path), cv2.imread(str(path), -1), COMPRESS_LESS)
    assert name_of(folder) == before
    assert name_of(folder.rename(tmp_path / 'moved')) == before


@pytest.mark.parametrize('part', ['images', 'masks', 'masks_original'])
def test_one_changed_pixel_gives_another_name(folder, part):
    before = name_of(folder)
    path = first_file(folder, part)
    pixels = cv2.imread(str(path), -1)
    pixels[0, 0] = 1 - pixels[0, 0]
    cv2.imwrite(str(path), pixels)
    assert name_of(folder) != before


@pytest.mark.parametrize('column', ['group', 'fold'])
def test_other_patients_or_folds_give_another_name(folder, column):
    before = name_of(folder)
    table = pd.read_csv(folder / 'folds.csv', dtype=str, keep_default_na=False)
    other = {'0': '1', '1': '0'} if column == 'fold' else {}
    table.loc[0, column] = other.get(table[column][0], 'another')
    table.to_csv(folder / 'folds.csv', index=False)
    assert name_of(folder) != before


def test_a_missing_mask_is_named(folder):
    path = first_file(folder, 'masks_original')
    path.unlink()
    with pytest.raises(ValueError, match=f'files are missing:\n.*{path.stem}'):
        name_of(folder)


def test_an_image_without_a_group_is_its_own_patient(folder):
    table = pd.read_csv(folder / 'folds.csv', dtype=str, keep_default_na=False)
    table['group'] = ['p1'] + [''] * (len(table) - 1)
    table.to_csv(folder / 'folds.csv', index=False)
    patients = patients_of(PreparedFolder.open(folder))
    assert list(patients.values())[:2] == ['p1', f'image-{table.id[1]}']
