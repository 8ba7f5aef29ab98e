import numpy as np
import pandas as pd
import pytest

from mmseg_ftu.preparation.folds import assign_folds, donor_groups


def organ_table(frame, fold):
    return pd.crosstab(fold, frame['organ'])


@pytest.fixture
def real(shared_data):
    frame = pd.read_csv(shared_data('hubmap2022') / 'train.csv.gz')
    assert len(frame) == 351
    return frame


def with_donors(frame, donors, seed=0):
    """Give the rows ages and sexes of a number of donors, unevenly."""
    generator = np.random.default_rng(seed)
    weight = generator.exponential(size=donors)
    donor = generator.choice(donors, len(frame), p=weight / weight.sum())
    return frame.assign(age=donor + 20.0, sex=np.where(donor % 2, 'Male', 'Female'))


@pytest.mark.parametrize('folds', [2, 3, 5, 10])
@pytest.mark.parametrize('seed', [0, 1])
def test_ungrouped_real_rows_are_balanced(real, folds, seed):
    table = organ_table(real, assign_folds(real, folds, seed))
    assert table.shape == (folds, 5)
    assert (table.max() - table.min()).max() <= 1
    assert np.ptp(table.sum(axis=1)) <= 2


@pytest.mark.parametrize('donors', [25, 60])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_grouped_real_rows(real, donors, seed):
    frame = with_donors(real, donors, seed)
    fold = assign_folds(frame, 5, seed)
    assert (fold.groupby([frame.age, frame.sex]).nunique() == 1).all()
    table = organ_table(frame, fold)
    assert (table > 0).all(axis=None)
    share = table / table.sum()
    largest = max(0.3, frame.groupby('age').size().max() / len(frame) + 0.05)
    assert share.max(axis=None) < 1.5 * largest
    assert table.sum(axis=1).max() / len(frame) < largest


@pytest.mark.parametrize('donors', [0, 40])
def test_order_of_rows_does_not_matter(real, donors):
    frame = with_donors(real, donors) if donors else real
    fold = assign_folds(frame)
    shuffled = frame.sample(frac=1, random_state=3)
    again = assign_folds(shuffled)
    assert again.index.equals(shuffled.index)
    pd.testing.assert_series_equal(again.sort_index(), fold)


def test_seed_decides(real):
    pd.testing.assert_series_equal(assign_folds(real), assign_folds(real, seed=0))
    assert (assign_folds(real) != assign_folds(real, seed=1)).mean() > 0.5


def test_input_is_not_changed(real):
    before = real.copy()
    assign_folds(real)
    pd.testing.assert_frame_equal(real, before)


def test_explicit_group_column_wins_over_age_and_sex():
    frame = pd.DataFrame(
        {
            'id': list('abcdefgh'),
            'organ': ['colon'] * 8,
            'age': 50,
            'sex': 'male',
            'group': ['p1', 'p1', 'p2', 'p2', 'p3', 'p3', '', None],
        }
    )
    fold = assign_folds(frame, folds=3)
    assert fold[0] == fold[1]
    assert fold[2] == fold[3]
    assert fold[4] == fold[5]
    assert fold.value_counts().tolist() == [3, 3, 2]  # the blank ones are no group


def test_rare_organ_is_spread_and_each_fold_has_it():
    organs = ['kidney'] * 50 + ['lung'] * 5
    frame = pd.DataFrame({'id': range(55), 'organ': organs})
    table = organ_table(frame, assign_folds(frame, 5))
    assert table['lung'].tolist() == [1] * 5
    assert table['kidney'].tolist() == [10] * 5


@pytest.mark.parametrize(
    ('age', 'sex', 'expected'),
    [
        (61, 'Male', 'donor-61-male'),
        ('61.0', ' male ', 'donor-61-male'),
        (37.5, 'Female', 'donor-37.5-female'),
        ('', 'Male', 'image-7'),
        (61, '', 'image-7'),
        (None, None, 'image-7'),
        (float('nan'), float('nan'), 'image-7'),
    ],
)
def test_donor_groups(age, sex, expected):
    frame = pd.DataFrame({'id': [7], 'age': [age], 'sex': [sex]})
    assert donor_groups(frame).tolist() == [expected]


def test_donor_groups_without_the_columns():
    assert donor_groups(pd.DataFrame({'id': ['x']})).tolist() == ['image-x']


@pytest.mark.parametrize(
    ('columns', 'folds', 'message'),
    [
        ({'id': [1, 2]}, 2, r"lacks the columns \['organ'\]"),
        ({'id': [1, 1], 'organ': ['a', 'a']}, 2, "id '1' occurs more than once"),
        ({'id': [1, 2], 'organ': ['a', 'a']}, 3, '2 images in 2 groups .* 3 folds'),
        ({'id': [1, 2], 'organ': ['a', 'a']}, 1, 'at least 2 folds'),
        (
            {'id': [1, 2], 'organ': ['a', 'a'], 'group': ['x', 'x']},
            2,
            '2 images in 1 groups',
        ),
    ],
)
def test_refuses(columns, folds, message):
    with pytest.raises(ValueError, match=message):
        assign_folds(pd.DataFrame(columns), folds)


def test_a_negative_seed_is_named(real):
    with pytest.raises(ValueError, match='seed of the folds is -1: give 0 or more'):
        assign_folds(real, seed=-1)
