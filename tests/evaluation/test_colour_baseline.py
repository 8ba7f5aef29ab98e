"""The colour baseline, against bands counted by hand."""

import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.evaluation.colour_baseline import (
    CHANNELS,
    LEVELS,
    RUIFROK,
    ColourRule,
    band_dice,
    colour_channels,
    compare_with_colour,
    evaluate_colour_baseline,
    fit_colour_rule,
    levels,
    rule_dice,
)


def test_band_dice_equals_a_slow_count():
    rng = np.random.default_rng(0)
    level = rng.integers(0, LEVELS, (9, 11))
    mask = rng.choice([0, 1, 255], (9, 11))
    table = band_dice(level, mask)
    for low, high in [(0, LEVELS), (3, 40), (10, 11), (50, 64), (20, 20)]:
        seen = mask != 255
        band = (level >= low) & (level < high) & seen
        expected = 2 * (band & (mask == 1)).sum() / (band.sum() + (mask == 1).sum())
        assert table[low, high] == pytest.approx(expected)


def test_empty_band_on_an_empty_mask_counts_one():
    table = band_dice(np.zeros((4, 4), int), np.zeros((4, 4), int))
    assert table[5, 9] == 1
    assert table[0, 1] == 0


def test_channels_of_a_known_pixel():
    density = RUIFROK[0] / np.linalg.norm(RUIFROK[0])
    rgb = np.round(255 * np.exp(-density)).astype(np.uint8).reshape(1, 1, 3)
    before = rgb.copy()
    values = dict(zip(CHANNELS, colour_channels(rgb)[:, 0, 0], strict=True))
    assert (values['red'], values['green'], values['blue']) == tuple(rgb[0, 0])
    # density 1 of haematoxylin, none of the others, on the scale -0.5..2
    assert values['haematoxylin'] == pytest.approx(1.5 / 2.5 * 255, abs=2)
    assert values['eosin'] == pytest.approx(0.5 / 2.5 * 255, abs=2)
    assert values['dab'] == pytest.approx(0.5 / 2.5 * 255, abs=2)
    assert np.array_equal(rgb, before)


def red_squares(count):
    rng = np.random.default_rng(1)
    for _ in range(count):
        rgb = rng.integers(90, 110, (40, 40, 3)).astype(np.uint8)
        mask = np.zeros((40, 40), np.uint8)
        top, left = rng.integers(0, 20, 2)
        mask[top : top + 15, left : left + 15] = 1
        rgb[mask == 1, 0] = 200
        yield rgb, mask


def test_what_colour_tells_is_found():
    rule = fit_colour_rule(red_squares(3))
    assert rule.dice == 1
    rgb, mask = next(red_squares(1))
    assert rule_dice(rule, rgb, mask) == 1


def test_what_colour_does_not_tell_is_not_found():
    rng = np.random.default_rng(2)
    samples = [
        (rng.integers(0, 255, (40, 40, 3)).astype(np.uint8), mask)
        for _, mask in red_squares(4)
    ]
    share = np.mean([mask.mean() for _, mask in samples])
    everything = 2 * share / (1 + share)
    assert everything - 0.01 < fit_colour_rule(samples).dice < everything + 0.25


def test_blur_is_relative_to_the_image():
    channel = np.zeros((100, 100), np.uint8)
    channel[50, 50] = 255
    assert levels(channel, 0.0).max() == LEVELS - 1
    assert levels(channel, 0.02).max() < 10


def test_rule_holds_its_bounds():
    rgb = np.full((4, 4, 3), 100, np.uint8)
    mask = np.ones((4, 4), np.uint8)
    assert rule_dice(ColourRule('grey', 0.0, 25, 26, 1.0), rgb, mask) == 1
    assert rule_dice(ColourRule('grey', 0.0, 26, 64, 1.0), rgb, mask) == 0


def test_no_sample_is_refused():
    with pytest.raises(ValueError, match='no training image'):
        fit_colour_rule([])


def test_table_of_a_prepared_folder(make_prepared, tmp_path):
    root = make_prepared(n=12, folds=3, organs=('kidney', 'lung'))
    table = evaluate_colour_baseline(root, fold=1)
    assert list(table.organ) == ['kidney', 'lung', 'all']
    assert table.images.tolist() == [2, 2, 4]
    assert table.dice.iloc[-1] == pytest.approx(table.dice.iloc[:2].mean())
    folds = pd.read_csv(root / 'folds.csv', dtype={'id': str})
    tested = folds[folds.fold == 1]
    result = tmp_path / 'result'
    result.mkdir()
    scores = tested.assign(img_id=tested.id, dice=[0.5, 0.7, 0.9, 0.7])
    scores.to_csv(result / 'dice_per_image.csv', index=False)
    text = compare_with_colour(root, 1, result, tmp_path / 'new' / 'table.csv')
    assert 'model Dice' in text
    written = pd.read_csv(tmp_path / 'new' / 'table.csv')
    assert written.model_dice.iloc[-1] == pytest.approx(0.7)
    with pytest.raises(ValueError, match='give the fold that was tested'):
        compare_with_colour(root.rename(tmp_path / 'b'), 0, empty_result(tmp_path))


def empty_result(tmp_path):
    folder = tmp_path / 'empty'
    folder.mkdir()
    (folder / 'dice_per_image.csv').write_text('img_id,organ,dice\n1,lung,0.5\n')
    return folder


def test_wrong_fold_is_named(make_prepared):
    with pytest.raises(ValueError, match=r'no image of fold 9; it has the folds 0, 1'):
        evaluate_colour_baseline(make_prepared(), fold=9)
