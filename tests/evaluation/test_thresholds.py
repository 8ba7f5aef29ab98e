"""Thresholds by (data source, organ)."""

import pytest

from mmseg_ftu.evaluation import PAPER_THRESHOLDS, threshold_for
from mmseg_ftu.evaluation.thresholds import check_thresholds


@pytest.mark.parametrize(
    ('source', 'organ', 'expected'),
    [
        ('HPA', 'kidney', 0.5),
        ('HPA', 'lung', 0.15),
        ('Hubmap', 'spleen', 0.4),
        ('Hubmap', 'lung', 0.1),
        ('GlaS', 'colon', 0.5),
        (None, None, 0.5),
    ],
)
def test_table_of_the_paper(source, organ, expected):
    assert threshold_for(PAPER_THRESHOLDS, source, organ) == expected


def test_one_number_for_a_source():
    assert threshold_for({'HPA': 0.3}, 'HPA', 'lung') == 0.3


def test_zero_is_a_threshold():
    assert threshold_for({'HPA': {'lung': 0, 'default': 1}}, 'HPA', 'lung') == 0


@pytest.mark.parametrize('table', [{}, {'HPA': {'lung': 0.1}}])
def test_missing_entry_is_named(table):
    with pytest.raises(
        ValueError, match="no threshold for data source 'HPA', organ 'x'"
    ):
        threshold_for(table, 'HPA', 'x')


@pytest.mark.parametrize(
    ('table', 'message'),
    [
        ({'HPA': 1.5}, 'not in 0..1'),
        ({'HPA': {'lung': -0.1}}, 'threshold of HPA lung'),
        ({'HPA': {'lung': '0.1'}}, 'not a number'),
        ({'default': True}, 'not a number'),
    ],
)
def test_unusable_table_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        check_thresholds(table)
