"""Fitting thresholds: curves against slow counts, choice, certainty, file."""

import json

import numpy as np
import pytest
import tifffile

from mmseg_ftu.datasets import HuBMAPDataset
from mmseg_ftu.datasets.fold_record import fold_record
from mmseg_ftu.evaluation import PAPER_THRESHOLDS, load_thresholds, threshold_for
from mmseg_ftu.evaluation.dice import dice
from mmseg_ftu.evaluation.dice_curve import THRESHOLDS, dice_curve, level_of
from mmseg_ftu.evaluation.fit_thresholds import fit_and_write, fit_thresholds
from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.evaluation.threshold_fit import FEW_IMAGES, fit_group


def test_curve_equals_a_slow_count_of_the_real_probabilities():
    rng = np.random.default_rng(0)
    real = rng.random((23, 17))
    mask = rng.choice([0, 1, 255], real.shape).astype(np.uint8)
    stored = np.round(255 * real).astype(np.uint8)
    before = stored.copy(), mask.copy()
    curve = dice_curve(stored, mask, strip=60)
    assert curve.shape == THRESHOLDS.shape == (256,)
    for k, threshold in enumerate(THRESHOLDS):
        found = (real > threshold) & (mask != 255)
        assert curve[k] == pytest.approx(dice(found, mask == 1))
    assert (stored == before[0]).all()
    assert (mask == before[1]).all()


def test_curve_of_an_empty_mask():
    stored = np.array([[0, 40]], np.uint8)
    curve = dice_curve(stored, np.zeros((1, 2), np.uint8))
    assert curve.tolist() == [0.0] * 40 + [1.0] * 216


def test_a_smaller_map_is_brought_to_the_size_of_the_mask():
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 1
    small = np.zeros((4, 6), np.uint8)
    small[:, 3:] = 200
    assert dice_curve(small, mask)[100] == 1
    assert dice_curve(small, mask)[0] < 1  # the ramp between 0 and 200


@pytest.mark.parametrize(
    ('threshold', 'level'),
    [(0, 0), (0.1, 25), (0.15, 38), (0.4, 102), (0.5, 127), (1, 255)],
)
def test_level_of_a_threshold(threshold, level):
    levels = np.arange(256) / 255
    assert (levels > threshold).tolist() == (np.arange(256) > level).tolist()
    assert level_of(threshold) == level
    assert level_of(THRESHOLDS[level]) == level


def peaked(centre, spread=0.0, count=30, seed=0):
    """Curves that fall off on both sides of a level that varies among images."""
    rng = np.random.default_rng(seed)
    centres = centre + spread * rng.standard_normal(count)
    return 0.9 - np.abs(np.arange(256) - centres[:, None]) / 300


def test_the_best_mean_is_found():
    fit = fit_group(peaked(60), paper=0.5)
    assert fit.threshold == fit.low == fit.high == THRESHOLDS[60]
    assert fit.dice == pytest.approx(0.9)
    assert fit.dice_paper == pytest.approx(0.9 - 67 / 300)
    assert (fit.gain, fit.gain_low) == pytest.approx((67 / 300, 67 / 300))
    assert fit.warning == ''


def test_equal_thresholds_keep_the_papers_or_come_near_it():
    flat = np.full((12, 256), 0.5)
    same = fit_group(flat, paper=0.4)
    assert (same.threshold, same.warning) == (0.4, '')
    flat[:, :20] = flat[:, 90:] = 0.1
    assert fit_group(flat, paper=0.4).threshold == THRESHOLDS[89]


def test_interval_shrinks_with_images_and_covers_the_truth():
    wide, narrow = (fit_group(peaked(60, 25, n, 5), paper=0.5) for n in (12, 1200))
    assert 3 * (narrow.high - narrow.low) < wide.high - wide.low
    for fit in (wide, narrow):
        assert fit.low <= THRESHOLDS[60] <= fit.high
        assert fit.low <= fit.threshold <= fit.high


def test_a_gain_that_is_chance_is_called_so():
    noise = np.random.default_rng(1).random((15, 256))
    fit = fit_group(noise, paper=0.5)
    assert fit.dice > fit.dice_paper + 0.05  # what looks like a gain
    assert fit.gain < fit.dice - fit.dice_paper - 0.05
    assert 'chance' in fit.warning


def test_few_images_are_called_few():
    assert 'only 9 images' in fit_group(peaked(60, count=9), 0.5).warning
    assert fit_group(peaked(60, count=FEW_IMAGES), 0.5).warning == ''
    one = fit_group(peaked(60, count=1), 0.5)
    assert one.threshold == THRESHOLDS[60]
    assert np.isnan([one.gain, one.gain_low, one.gain_high]).all()


def write_probabilities(prepared, folder, names, inside=90, outside=20, **settings):
    """A prediction folder whose units have a probability of inside / 255."""
    truth = open_masks(prepared)
    (folder / 'probabilities').mkdir(parents=True)
    for name in names:
        levels = np.where(truth.mask(name) == 1, inside, outside).astype(np.uint8)
        path = folder / 'probabilities' / f'{name}.tif'
        tifffile.imwrite(path, levels, tile=(64, 64), compression='zlib')
    lines = ''.join(f'{name},done\n' for name in names)
    (folder / 'predictions.csv').write_text('id,status\n' + lines)
    if settings:
        (folder / 'prediction.json').write_text(json.dumps(settings))
    return folder


def test_from_folders_to_file(make_prepared, tmp_path):
    prepared = make_prepared(n=24, folds=2, organs=('kidney', 'lung', 'spleen'))
    ids = open_masks(prepared).ids
    folders = [
        write_probabilities(
            *(prepared, tmp_path / f'fold{f}', ids[f::2]),
            checkpoints=[fold_record(HuBMAPDataset(str(prepared), fold=f))],
        )
        for f in (0, 1)
    ]
    text = fit_and_write(prepared, folders, tmp_path / 'new' / 'thresholds.json')
    content = json.loads((tmp_path / 'new' / 'thresholds.json').read_text())
    assert (content['made_by'], content['layout']) == ('mmseg_ftu', 1)
    # Units have 90 / 255 = .35, background .08: HPA's .5 and Hubmap's .4 miss them, so
    # that the nearest threshold below is taken, while .15 and .1 for lung are perfect.
    near = round(89.5 / 255, 6)
    assert content['thresholds'] == {
        'HPA': {'default': 0.5, 'lung': 0.15, 'kidney': near, 'spleen': near},
        'Hubmap': {'default': 0.4, 'lung': 0.1, 'kidney': near, 'spleen': near},
        'default': 0.5,
    }
    row = content['fitted'][0]
    assert (row['data_source'], row['organ'], row['images']) == ('HPA', 'kidney', 4)
    assert (row['dice'], row['dice_paper']) == (1, 0)
    assert 'only 4 images' in row['warning']
    assert 'only 4 images' in text
    assert 'held out' not in text
    thresholds = load_thresholds(tmp_path / 'new' / 'thresholds.json')
    assert threshold_for(thresholds, 'HPA', 'kidney') == near
    assert threshold_for(thresholds, 'HPA', 'prostate') == 0.5


def test_images_without_source_or_organ(tmp_path):
    masks = tmp_path / 'truth.csv'
    masks.write_text(
        'id,organ,data_source,img_height,img_width,rle\n'
        '1,lung,,4,4,1 3\n2,,mine,4,4,1 3\n'
    )
    folder = write_probabilities(masks, tmp_path / 'p', ['1', '2'])
    fits, notes = fit_thresholds(masks, [folder])
    assert list(fits) == [('', ''), ('mine', '')]
    assert 'nothing says whether 2 of 2 images were held out' in notes[0]
    fit_and_write(masks, [folder], tmp_path / 't.json')
    near = round(89.5 / 255, 6)
    assert load_thresholds(tmp_path / 't.json') == PAPER_THRESHOLDS | {
        'mine': {'default': near},
        'default': near,
    }
    rows = json.loads((tmp_path / 't.json').read_text())['fitted']
    assert rows[0]['gain'] is None
    assert PAPER_THRESHOLDS['default'] == 0.5  # the constant isn't written into


def test_images_left_out_are_told(make_prepared, tmp_path):
    prepared = make_prepared(n=4)
    folder = write_probabilities(prepared, tmp_path / 'p', ['101', '102'])
    table = folder / 'predictions.csv'
    table.write_text(table.read_text() + '9,failed\n')
    _, notes = fit_thresholds(prepared, [folder])
    assert '2 images of the truth have no prediction' in notes


def test_an_image_predicted_twice_is_refused(make_prepared, tmp_path):
    prepared = make_prepared(n=4)
    folders = [
        write_probabilities(prepared, tmp_path / name, ids)
        for name, ids in (('a', ['100', '101']), ('b', ['101', '102']))
    ]
    with pytest.raises(ValueError, match=r'b and .*a both predict 101; give each'):
        fit_thresholds(prepared, folders)


def test_what_can_not_be_used_is_named(make_prepared, tmp_path):
    prepared = make_prepared(n=2)
    folder = write_probabilities(prepared, tmp_path / 'p', ['100'])
    (folder / 'masks').mkdir()
    (folder / 'probabilities' / '100.tif').rename(folder / 'masks' / '100.tif')
    with pytest.raises(ValueError, match=r'1 images have no file in prob.*: 100;'):
        fit_thresholds(prepared, [folder])
    other = make_prepared(n=1, original=(32, 32), name='other')
    wrong = write_probabilities(other, tmp_path / 'w', ['100'])
    (wrong / 'predictions.csv').write_text('id,height,width\n100,32,32\n')
    with pytest.raises(ValueError, match='100: the prediction has 32 x 32 px'):
        fit_thresholds(prepared, [wrong])
    (tmp_path / 'truth').mkdir()
    (tmp_path / 'truth.csv').write_text('id,img_height,img_width,rle\nq,2,2,\n')
    with pytest.raises(ValueError, match='no image in common with the predictions'):
        fit_thresholds(tmp_path / 'truth.csv', [wrong])
