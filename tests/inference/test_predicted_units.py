"""Units as one of the kinds that predict writes."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from small_models import dark, save, small_config

from mmseg_ftu import FTUPredictor
from mmseg_ftu.inference.file_options import FileOptions
from mmseg_ftu.inference.jobs import list_jobs
from mmseg_ftu.inference.predict_folder import predict_folder
from mmseg_ftu.inference.prediction_folder import PredictionFolder

KINDS = ('masks', 'geojson', 'units', 'submission')


def write_pair(path, apart=30):
    """Draw two dark discs of 20 px radius on pale tissue, and glass below."""
    image = np.full((100, 140, 3), (215, 180, 205), np.uint8)
    image[80:] = 250
    for x in (45, 45 + apart):
        cv2.circle(image, (x, 40), 20, (110, 60, 140), -1)
    cv2.imwrite(str(path), image[..., ::-1])


@pytest.fixture(scope='module')
def predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp('model')
    return FTUPredictor(small_config(1), save(dark(small_config(1)), folder / 'm.pth'))


@pytest.fixture
def images(tmp_path):
    (tmp_path / 'images').mkdir()
    write_pair(tmp_path / 'images' / 'apart.png', 60)
    write_pair(tmp_path / 'images' / 'touching.png')
    return tmp_path / 'images'


@pytest.fixture
def run(predictor, images, tmp_path):
    def predict(overwrite=False, kinds=KINDS, **options):
        files = FileOptions(kinds, **options)
        folder = PredictionFolder(tmp_path / 'out', files.state(), {}, overwrite)
        jobs = list_jobs(str(images), 'kidney', 'HPA', 0.5)
        summary = predict_folder(predictor, jobs, folder, files)
        assert summary.failed == {}
        return tmp_path / 'out'

    return predict


def test_tables_of_units(run):
    out = run()
    units, one = (pd.read_csv(out / f) for f in ('units.csv', 'units/apart.csv'))
    assert units.id.tolist() == ['apart_1', 'apart_2', 'touching_1']
    pd.testing.assert_frame_equal(units[:2], one, check_dtype=False)
    assert set(units['class']) == {'glomerulus'}
    assert (units.mean_probability > 0.5).all()
    assert units.area_um2.tolist() == (units.area_px / 4).tolist()
    features = json.loads((out / 'geojson' / 'apart.geojson').read_text())['features']
    told = [f['properties']['measurements']['Area µm^2'] for f in features]
    assert told == one.area_um2.tolist()
    images = pd.read_csv(out / 'units_by_image.csv', index_col='image')
    assert images.units.tolist() == [2, 1]
    assert images.image_mm2.tolist() == pytest.approx([100 * 140 * 0.25 / 1e6] * 2)
    share = images.tissue_mm2 / images.image_mm2
    assert ((share > 0.1) & (share <= 0.8)).all()  # a fifth of the picture is glass


def test_split_units_are_split_everywhere(run):
    out = run(split_um=2.0)
    units = pd.read_csv(out / 'units.csv')
    assert units.id.tolist() == ['apart_1', 'apart_2', 'touching_1', 'touching_2']
    mask = cv2.imread(str(out / 'masks' / 'touching.png'), -1)
    assert cv2.connectedComponents(mask, connectivity=8)[0] - 1 == 2
    features = json.loads((out / 'geojson' / 'touching.geojson').read_text())
    assert len(features['features']) == 2
    assert pd.read_csv(out / 'predictions.csv').objects.tolist() == [2, 2]


def test_a_second_run_keeps_them_and_edits_are_set_aside(run):
    out = run()
    before = {path: path.stat().st_mtime_ns for path in out.glob('units/*')}
    run()
    assert {path: path.stat().st_mtime_ns for path in out.glob('units/*')} == before
    mine = out / 'units' / 'apart.csv'
    mine.write_text(mine.read_text() + 'mine')
    (out / 'units.csv').write_text('my notes')
    run()
    assert (out / 'units' / 'apart.csv.changed').read_text().endswith('mine')
    assert (out / 'units.csv.changed').read_text() == 'my notes'
    assert len(pd.read_csv(out / 'units.csv')) == 3


def test_tables_of_others_are_not_replaced(run):
    out = run(kinds=('masks',))
    (out / 'units_by_image.csv').write_text('mine')
    with pytest.raises(ValueError, match=r'units_by_image.* is in the way'):
        run(overwrite=True)
    assert (out / 'units_by_image.csv').read_text() == 'mine'


def test_without_units_their_tables_go(run):
    out = run()
    run(overwrite=True, kinds=('masks',))
    assert not [*out.glob('units*')]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'split_um': 1, 'split_px': 1}, 'give one of them'),
        ({'split_px': 0}, 'give a positive number'),
        ({'split_um': float('nan')}, 'give a positive number'),
    ],
)
def test_faulty_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FileOptions(KINDS, **options)
