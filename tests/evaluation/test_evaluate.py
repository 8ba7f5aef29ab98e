"""Scoring saved predictions: figures by hand, groups, and what is refused."""

import cv2
import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.evaluation.evaluate import compare, evaluate_predictions, score_image
from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.evaluation.score_table import (
    draw_groups,
    mean_interval,
    summarise_groups,
)
from mmseg_ftu.masks import rle


def write_masks(folder, masks):
    folder.mkdir()
    for name, mask in masks.items():
        cv2.imwrite(str(folder / f'{name}.png'), np.asarray(mask, np.uint8))
    return folder


def prediction_of(prepared, folder, shift=0):
    """Masks of a prepared folder, moved to the right, in a plain folder."""
    truth = open_masks(prepared)
    moved = {name: move(truth.mask(name), shift) * 255 for name in truth.ids}
    return write_masks(folder, moved)


def move(mask, shift):
    """Move to the right; what leaves the image is lost."""
    return np.pad(mask, ((0, 0), (shift, 0)))[:, : mask.shape[1]]


@pytest.mark.parametrize(
    ('prediction', 'mask', 'dice', 'iou'),
    [
        ([[1, 1, 0, 0]], [[0, 1, 1, 0]], 1 / 2, 1 / 3),
        ([[1, 1, 1, 0]], [[1, 1, 1, 0]], 1, 1),
        ([[1, 0, 0, 0]], [[0, 0, 0, 1]], 0, 0),
        ([[0, 0, 0, 0]], [[0, 0, 0, 0]], 1, 1),
        ([[0, 0, 0, 0]], [[1, 0, 0, 0]], 0, 0),
        ([[1, 1, 1, 1]], [[1, 1, 255, 255]], 1, 1),
        ([[0, 0, 1, 1]], [[0, 0, 255, 255]], 1, 1),
    ],
)
def test_dice_and_iou_by_hand(prediction, mask, dice, iou):
    scores = score_image(np.array(prediction), np.array(mask), with_hd95=False)
    assert scores == pytest.approx({'dice': dice, 'iou': iou})


def test_distance_in_both_units_and_undefined():
    a, b = np.zeros((2, 5, 30), np.uint8)
    a[2, 3] = b[2, 23] = 1
    scores = score_image(a, b, pixel_size=0.4)
    assert (scores['hd95_px'], scores['hd95_um']) == pytest.approx((20, 8))
    assert np.isnan(score_image(a, b)['hd95_um'])
    assert np.isnan(score_image(a, np.zeros_like(b))['hd95_px'])
    ignored = b.copy()
    ignored[:, 20:] = 255
    assert np.isnan(score_image(a, ignored)['hd95_px'])


def test_a_prepared_folder_against_moved_masks(make_prepared, tmp_path):
    prepared = make_prepared(n=6, original=(96, 80))
    result = compare(prediction_of(prepared, tmp_path / 'pred', 3), prepared)
    truth = open_masks(prepared)
    for row in result.images.itertuples():
        mask = truth.mask(row.id) == 1
        moved = move(mask, 3)
        both, either = (mask & moved).sum(), (mask | moved).sum()
        assert row.dice == pytest.approx(2 * both / (mask.sum() + moved.sum()))
        assert row.iou == pytest.approx(both / either)
        assert 0 < row.hd95_px <= 3
        known = row.data_source == 'HPA'
        assert row.hd95_um == pytest.approx(
            0.4 * row.hd95_px if known else np.nan, nan_ok=True
        )
    groups = result.groups.set_index(['by', 'group'])
    assert groups.images.to_dict() == {
        ('organ', 'kidney'): 2,
        ('organ', 'lung'): 2,
        ('organ', 'spleen'): 2,
        ('data_source', 'HPA'): 3,
        ('data_source', 'Hubmap'): 3,
        ('all', 'all'): 6,
    }
    lung = result.images[result.images.organ == 'lung']
    row = groups.loc[('organ', 'lung')]
    assert row.dice_mean == pytest.approx(lung.dice.mean())
    assert row.dice_median == pytest.approx(lung.dice.median())
    assert row.iou_mean == pytest.approx(lung.iou.mean())
    assert row.dice_low <= row.dice_mean <= row.dice_high
    # pixel sizes are known for HPA only, so a median in um exists for it alone
    assert groups.hd95_um_median.notna().to_dict()[('data_source', 'HPA')]
    assert groups.hd95_um_median.isna().sum() == 5
    drawn = {
        line.split()[3]: line for line in draw_groups(result.groups).split('\n')[3:-1]
    }
    assert ' um ' in drawn['HPA']
    assert ' px ' in drawn['Hubmap']
    assert ' px ' in drawn['all']


def test_pixel_size_overrides(make_prepared, tmp_path):
    prepared = make_prepared(n=2)
    pred = prediction_of(prepared, tmp_path / 'pred', 2)
    images = compare(pred, prepared, pixel_size=2.0).images
    assert images.hd95_um.tolist() == pytest.approx((images.hd95_px * 2).tolist())
    with pytest.raises(ValueError, match='pixel size -1'):
        compare(pred, prepared, pixel_size=-1)


def test_undefined_distances_are_blank_and_counted(make_prepared, tmp_path):
    prepared = make_prepared(n=3, original=(64, 64))
    pred = prediction_of(prepared, tmp_path / 'pred')
    cv2.imwrite(str(pred / '101.png'), np.zeros((64, 64), np.uint8))
    text = evaluate_predictions(pred, prepared, tmp_path / 'out')
    table = pd.read_csv(tmp_path / 'out' / 'evaluation.csv', dtype={'id': str})
    table = table.set_index('id')
    assert np.isnan(table.hd95_px['101'])
    assert table.dice.tolist() == [1, 0, 1]
    assert table.hd95_px.dropna().tolist() == [0, 0]
    groups = pd.read_csv(tmp_path / 'out' / 'evaluation_groups.csv')
    assert groups.set_index('group').hd95_undefined.to_dict() == {
        'kidney': 0,
        'lung': 1,
        'spleen': 0,
        'HPA': 0,
        'Hubmap': 1,
        'all': 1,
    }
    assert 'HD95 undefined' in text
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == [
        'evaluation.csv',
        'evaluation_groups.csv',
    ]


def test_without_hd95_there_is_no_such_column(make_prepared, tmp_path):
    prepared = make_prepared(n=2)
    pred = prediction_of(prepared, tmp_path / 'pred')
    result = compare(pred, prepared, with_hd95=False)
    assert not [c for c in [*result.images, *result.groups] if 'hd95' in c]
    assert 'HD95' not in draw_groups(result.groups)


def test_missing_predictions(make_prepared, tmp_path):
    prepared = make_prepared(n=4)
    pred = prediction_of(prepared, tmp_path / 'pred')
    (pred / '102.png').unlink()
    with pytest.raises(
        ValueError, match=r'1 of 4 images have no prediction: 102;.*skip'
    ):
        compare(pred, prepared)
    skipped = compare(pred, prepared, missing='skip')
    assert skipped.images.id.tolist() == ['100', '101', '103']
    assert skipped.groups.dice_mean.iloc[-1] == 1
    empty = compare(pred, prepared, missing='empty')
    assert empty.images.dice.tolist() == [1, 1, 0, 1]
    assert empty.images.note.tolist()[2] == 'no prediction, counted as empty'
    assert empty.notes == ['1 images without a prediction are counted as empty: 102']
    with pytest.raises(ValueError, match="missing is 'drop'"):
        compare(pred, prepared, missing='drop')


def test_a_failed_prediction_tells_why(make_prepared, tmp_path):
    prepared = make_prepared(n=2)
    pred = tmp_path / 'pred'
    pred.mkdir()
    prediction_of(prepared, pred / 'masks')
    (pred / 'predictions.csv').write_text(
        'id,status,reason\n100,done,\n101,failed,out of memory\n'
    )
    with pytest.raises(ValueError, match=r'101 \(out of memory\)'):
        compare(pred, prepared)


def test_predictions_that_all_failed(make_prepared, tmp_path):
    prepared, pred = make_prepared(n=2), tmp_path / 'pred'
    pred.mkdir()
    (pred / 'predictions.csv').write_text(
        'id,status,reason\n100,failed,damaged\n101,failed,too large\n'
    )
    with pytest.raises(ValueError, match=r'2 of 2 .*100 \(damaged\), 101 \(too large'):
        compare(pred, prepared)
    with pytest.raises(ValueError, match='every prediction failed'):
        compare(pred, prepared, missing='skip')
    assert compare(pred, prepared, missing='empty').images.dice.tolist() == [0, 0]


def test_nothing_in_common_and_predictions_of_others(make_prepared, tmp_path):
    prepared = make_prepared(n=2)
    pred = write_masks(tmp_path / 'pred', {'7': np.ones((96, 96))})
    for missing in ('error', 'skip', 'empty'):
        with pytest.raises(ValueError, match='no image in common'):
            compare(pred, prepared, missing=missing)
    prediction_of(prepared, tmp_path / 'both')
    cv2.imwrite(str(tmp_path / 'both' / '7.png'), np.ones((96, 96), np.uint8))
    assert compare(tmp_path / 'both', prepared).notes == [
        '1 predictions have no truth: 7'
    ]


def test_sizes_that_differ_are_all_listed(make_prepared, tmp_path):
    prepared = make_prepared(n=3, original=(96, 80))
    pred = prediction_of(prepared, tmp_path / 'pred')
    for name in ('100', '102'):
        cv2.imwrite(str(pred / f'{name}.png'), np.ones((48, 40), np.uint8))
    with pytest.raises(
        ValueError, match=r'2 images differ in size: 100: .* 48 x 40 px, .* 96 x 80 px'
    ) as caught:
        compare(pred, prepared)
    assert '102: ' in str(caught.value)


def test_a_size_that_no_table_tells_is_found_on_reading(make_prepared, tmp_path):
    prepared = make_prepared(n=1)
    pred = tmp_path / 'pred'
    pred.mkdir()
    write_masks(pred / 'masks', {'100': np.ones((5, 5))})
    (pred / 'predictions.csv').write_text('id,status\n100,done\n')
    with pytest.raises(ValueError, match='100: the prediction has 5 x 5 px'):
        compare(pred, prepared)


def test_one_fold(make_prepared, tmp_path):
    prepared = make_prepared(n=10, folds=5)
    pred = prediction_of(prepared, tmp_path / 'pred')
    assert compare(pred, prepared, fold=3).images.id.tolist() == ['103', '108']
    with pytest.raises(ValueError, match=r'no image of fold 9; choose from \[0, 1, 2'):
        compare(pred, prepared, fold=9)
    with pytest.raises(ValueError, match='has no folds'):
        compare(pred, pred, fold=0)


def test_a_submission_against_the_competition_table(tmp_path):
    mask = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    (tmp_path / 'train.csv').write_text(
        'id,organ,data_source,img_height,img_width,pixel_size,rle\n'
        f'1,lung,HPA,2,3,0.4,{rle.encode(mask)}\n2,lung,HPA,2,3,0.4,1 1\n'
    )
    (tmp_path / 'submission.csv').write_text(f'id,rle\n1,{rle.encode(mask)}\n2,\n')
    images = compare(tmp_path / 'submission.csv', tmp_path / 'train.csv').images
    assert images.dice.tolist() == [1, 0]
    assert images.organ.tolist() == ['lung', 'lung']
    # and the other way round, where the prediction alone knows sizes and organs
    images = compare(tmp_path / 'train.csv', tmp_path / 'submission.csv').images
    assert images.dice.tolist() == [1, 0]
    assert images.organ.tolist() == ['lung', 'lung']


def test_labels_of_the_truth(tmp_path):
    truth = write_masks(tmp_path / 'truth', {'a': [[1, 2, 2, 9]]})
    pred = write_masks(tmp_path / 'pred', {'a': [[0, 255, 255, 255]]})
    images = compare(pred, truth, foreground=(2,), ignore=9).images
    assert images.dice.tolist() == [1]
    assert images.organ.tolist() == ['']
    assert compare(pred, truth).groups.group.tolist() == ['all']


def test_interval_of_a_mean():
    rng = np.random.default_rng(3)
    values = rng.normal(0.7, 0.1, 400)
    low, high = mean_interval(values)
    error = values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=error / 4
    )
    assert mean_interval(values) == (low, high)
    assert mean_interval(np.array([0.5, 0.5])) == (0.5, 0.5)
    assert np.isnan(mean_interval(np.array([0.5]))).all()


def test_one_image_has_no_interval_in_the_table():
    images = pd.DataFrame(
        dict(
            organ=['lung'], data_source=[''], pixel_size=[0.4], dice=[0.5], iou=[1 / 3]
        )
    )
    lines = draw_groups(summarise_groups(images)).split('\n')
    assert [x.strip() for x in lines[3].split('|')[1:-1]] == [
        *('organ', 'lung', '1', '0.5000', '', '0.5000', '0.3333')
    ]


def test_tables_do_not_go_into_the_folders_that_are_compared(make_prepared, tmp_path):
    prepared = make_prepared(n=2, folds=2)
    pred = prediction_of(prepared, tmp_path / 'pred')
    for folder in (pred, pred / 'scores', prepared, prepared / 'masks_original'):
        with pytest.raises(ValueError, match='name a folder beside it'):
            evaluate_predictions(pred, prepared, folder, with_hd95=False)
    assert not [*tmp_path.rglob('evaluation*.csv')]


TWO = np.zeros((20, 40), np.uint8)
TWO[2:10, 2:10] = TWO[2:10, 10:18] = 1  # two units that touch
LABELS = TWO.copy()
LABELS[2:10, 10:18] = 2


@pytest.mark.parametrize(
    ('options', 'counts', 'f1'),
    [
        ({}, (1, 1), 1),
        ({'instances': True}, (2, 1), 0),  # the one has an IoU of exactly .5 with both
        ({'instances': True, 'pred_instances': True}, (2, 2), 1),
    ],
)
def test_units_that_touch(tmp_path, options, counts, f1):
    truth = write_masks(tmp_path / 'truth', {'a': LABELS})
    prediction = write_masks(tmp_path / 'pred', {'a': LABELS})
    result = compare(prediction, truth, units=True, **options)
    (row,) = result.images.to_dict('records')
    assert (row['units_truth'], row['units_predicted']) == counts
    assert row['unit_f1'] == f1


DISC = np.zeros((80, 80), np.uint8)
cv2.circle(DISC, (40, 40), 30, 1, -1)
STRIPED = DISC.copy()
STRIPED[:, 36:44] = 255


@pytest.mark.parametrize(
    ('options', 'units'), [({}, 2), ({'instances': True, 'ignore': 255}, 1)]
)
def test_ignored_pixels_divide_both_masks_or_none(tmp_path, options, units):
    truth = write_masks(tmp_path / 'truth', {'a': STRIPED})
    prediction = write_masks(tmp_path / 'pred', {'a': DISC})
    options = {'ignore': 255} | options
    result = compare(prediction, truth, units=True, **options)
    (row,) = result.images.to_dict('records')
    assert (row['units_truth'], row['units_predicted']) == (units, units)
    scores = ('unit_f1', 'unit_sq', 'unit_pq', 'contest_f1', 'object_dice')
    assert [row[name] for name in scores] == [1] * 5


def test_units_in_tables(make_prepared, tmp_path):
    prepared = make_prepared(n=6, original=(96, 80))
    prediction = prediction_of(prepared, tmp_path / 'pred', 2)
    cv2.imwrite(str(prediction / '100.png'), np.zeros((96, 80), np.uint8))
    text = evaluate_predictions(prediction, prepared, tmp_path / 'out', units=True)
    assert 'object Hausdorff' in text
    images = pd.read_csv(tmp_path / 'out' / 'evaluation.csv', index_col='id')
    assert images.unit_count_error.tolist() == [-1, 0, 0, 0, 0, 0]
    assert images.unit_f1.tolist() == [0, 1, 1, 1, 1, 1]
    assert (images.unit_sq[1:] == images.iou[1:]).all()  # one unit an image
    assert (images.object_dice[1:] == images.dice[1:]).all()
    assert images.object_hausdorff_px.isna().tolist() == [True, *[False] * 5]
    groups = pd.read_csv(tmp_path / 'out' / 'evaluation_unit_groups.csv')
    last = groups.iloc[-1]
    assert (last.group, last.units_truth, last.units_predicted) == ('all', 6, 5)
    assert last.unit_f1 == pytest.approx(10 / 11, rel=1e-5)
    assert last.unit_f1_mean == pytest.approx(5 / 6, rel=1e-5)
    assert last.unit_count_error_abs_mean == pytest.approx(1 / 6, rel=1e-5)
    assert last.object_hausdorff_undefined == 1
    assert np.isnan(last.object_hausdorff_um)  # pixel sizes of HPA only are known
    known = groups[groups.group == 'HPA'].iloc[0]
    assert known.object_hausdorff_um == pytest.approx(
        0.4 * known.object_hausdorff_px, rel=1e-5
    )
    again = evaluate_predictions(prediction, prepared, tmp_path / 'out')
    assert 'object Hausdorff' not in again
    assert not (tmp_path / 'out' / 'evaluation_unit_groups.csv').exists()


def test_a_missing_prediction_has_no_units(tmp_path):
    truth = write_masks(tmp_path / 'truth', {'a': LABELS, 'b': LABELS})
    prediction = write_masks(tmp_path / 'pred', {'a': LABELS})
    options = dict(units=True, instances=True, pred_instances=True, missing='empty')
    result = compare(prediction, truth, **options)
    assert result.images.unit_count_error.tolist() == [0, -2]


@pytest.mark.parametrize('name', ['evaluation_unit_groups.csv'])
def test_unit_tables_of_others_stay(tmp_path, name):
    truth = write_masks(tmp_path / 'truth', {'a': TWO})
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_text('mine')
    with pytest.raises(ValueError, match='was not written by this tool'):
        evaluate_predictions(truth, truth, tmp_path / 'out', units=True)
    assert (tmp_path / 'out' / name).read_text() == 'mine'


def test_labels_of_units_where_there_are_none(make_prepared, tmp_path):
    prepared = make_prepared(n=2, folds=2)
    prediction = prediction_of(prepared, tmp_path / 'pred')
    with pytest.raises(ValueError, match=r'--instances: .* one label for all units'):
        compare(prediction, prepared, units=True, instances=True)
    with pytest.raises(ValueError, match='are for --units'):
        compare(prediction, prepared, pred_instances=True)
