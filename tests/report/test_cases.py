"""Scores of a folder, and which images are shown."""

import cv2
import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.evaluation.evaluate import compare
from mmseg_ftu.evaluation.mask_sources import open_masks
from mmseg_ftu.report.cases import UNKNOWN_ORGAN, group_by_organ, score_images


def write_masks(folder, masks):
    folder.mkdir()
    for name, mask in masks.items():
        cv2.imwrite(str(folder / f'{name}.png'), np.array(mask, np.uint8))
    return open_masks(folder)


def test_dice_is_of_each_image_at_full_size(make_predictions):
    folder, truth = make_predictions(n=3)
    scores = score_images(open_masks(folder), open_masks(truth))
    for name, row in scores.table.iterrows():
        p = cv2.imread(str(folder / 'masks' / f'{name}.png'), -1).astype(float) / 255
        g = cv2.imread(str(truth / f'{name}.png'), -1).astype(float)
        assert row.dice == pytest.approx(2 * (p * g).sum() / (p.sum() + g.sum()))
        assert row.foreground == pytest.approx(p.mean())
    assert scores.table.objects.tolist() == [1, 1, 1]
    assert not scores.saved_dice


def test_empty_masks_and_masks_of_one_side_only(tmp_path):
    prediction = write_masks(
        tmp_path / 'p', {'both': [[0, 0]], 'half': [[1, 1]], 'only here': [[1, 0]]}
    )
    truth = write_masks(
        tmp_path / 't', {'both': [[0, 0]], 'half': [[0, 1]], 'only there': [[1, 0]]}
    )
    scores = score_images(prediction, truth)
    assert scores.table.dice.to_dict() == pytest.approx(
        {'both': 1, 'half': 2 / 3, 'only here': np.nan}, nan_ok=True
    )
    assert scores.table.foreground['only here'] == 0.5
    assert scores.unscored == ['only here']
    assert scores.unpredicted == ['only there']


def test_pixels_to_be_ignored_do_not_count(make_prepared, tmp_path):
    prepared = make_prepared(n=1, original=(32, 32))
    mask = np.zeros((32, 32), np.uint8)
    mask[:8], mask[8:16] = 1, 255
    cv2.imwrite(str(prepared / 'masks_original' / '100.png'), mask)
    prediction = write_masks(
        tmp_path / 'p', {'100': np.arange(1024).reshape(32, 32) < 512}
    )
    scores = score_images(prediction, open_masks(prepared))
    assert scores.table.loc['100', ['organ', 'dice']].tolist() == ['kidney', 1.0]


def test_dice_of_a_test_is_taken_over_without_ground_truth(tmp_path):
    write_masks(tmp_path / 'p', {'a': [[1, 0]]})
    (tmp_path / 'p' / 'dice_per_image.csv').write_text(
        'img_id,organ,data_source,threshold,dice,val_loss_bce\na,lung,HPA,0.15,0.25,\n'
    )
    scores = score_images(open_masks(tmp_path / 'p'), None)
    assert scores.saved_dice
    assert scores.table.loc['a', ['dice', 'threshold']].tolist() == [0.25, 0.15]


@pytest.mark.parametrize(
    ('truth', 'message'),
    [
        ({'b': [[1]]}, r'has no id of .*p \(there b; here a\)'),
        ({'a': [[1]]}, 'a: the prediction has 1 x 2 px, the truth 1 x 1 px'),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, truth, message):
    prediction = write_masks(tmp_path / 'p', {'a': [[1, 0]]})
    with pytest.raises(ValueError, match=message):
        score_images(prediction, write_masks(tmp_path / 't', truth))


@pytest.mark.parametrize(
    ('count', 'values', 'low', 'high'),
    [
        (1, [0.5, 0.1, 0.9], ['i1'], ['i2']),
        (3, [0.5, 0.1, 0.9], ['i1', 'i0'], ['i2']),
        (3, [0.5], ['i0'], []),
        (0, [0.5, 0.1], [], []),
        (2, [0.5, np.nan, 0.1, 0.7, 0.6, 0.2], ['i2', 'i5'], ['i3', 'i4']),
    ],
)
def test_which_images_are_shown(count, values, low, high):
    table = pd.DataFrame({'dice': values, 'foreground': 0.0, 'organ': 'lung'})
    table.index = [f'i{i}' for i in table.index]
    (group,) = group_by_organ(table, count)
    assert (group.low, group.high) == (low, high)
    seen = [x for x in values if not np.isnan(x)]
    assert group.values == sorted(seen)
    assert group.images == len(seen)
    assert (group.mean, group.median) == pytest.approx((np.mean(seen), np.median(seen)))


def test_organs_are_sorted_and_foreground_ranks_where_there_is_no_dice():
    table = pd.DataFrame(
        {'dice': np.nan, 'foreground': [0.1, 0.3, 0.2], 'organ': ['spleen', '', '']},
        index=['a', 'b', 'c'],
    )
    groups = group_by_organ(table, 1)
    assert [group.organ for group in groups] == [UNKNOWN_ORGAN, 'spleen']
    assert groups[0].low + groups[0].high == ['c', 'b']


def test_scores_are_those_of_the_evaluation(make_predictions):
    folder, truth = make_predictions(n=5)
    expected = compare(folder, truth, with_hd95=False)
    scores = score_images(open_masks(folder), open_masks(truth))
    assert scores.table.dice.to_dict() == dict(
        expected.images[['id', 'dice']].to_numpy()
    )
    means = {group.organ: group.mean for group in group_by_organ(scores.table, 1)}
    assert set(means) == {'kidney', 'lung'}
    for name, mean in means.items():
        row = expected.groups[expected.groups['group'] == name].iloc[0]
        assert row.dice_mean == pytest.approx(mean)


def test_only_folds_that_were_predicted_can_lack_images(make_prepared, tmp_path):
    prepared = make_prepared(n=6, original=(8, 8), folds=2)  # 101, 103, 105: fold 1
    masks = {name: np.zeros((8, 8)) for name in ('101', '103')}
    prediction = write_masks(tmp_path / 'p', masks)
    assert score_images(prediction, open_masks(prepared)).unpredicted == ['105']
