"""Thresholds by (data source, organ)."""

import pytest
from mmseg.registry import METRICS

from mmseg_ftu.evaluation import PAPER_THRESHOLDS, load_thresholds, threshold_for
from mmseg_ftu.thresholds import (
    check_thresholds,
    organ_alone,
    source_without_entry,
)


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
        ({'HPA': 1.5}, 'is not in 0..1'),
        ({'HPA': {'lung': -0.1}}, 'threshold of HPA lung'),
        ({'HPA': {'lung': '0.1'}}, 'not a number'),
        ({'default': True}, 'not a number'),
        ({'default': {'lung': 0.5}}, 'only a data source may have a table'),
    ],
)
def test_unusable_table_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        check_thresholds(table)


@pytest.mark.parametrize(
    'text',
    [
        '{"HPA": {"lung": 0.2, "default": 0.6}, "default": 0.5}',
        '{"layout": 1, "thresholds": {"HPA": {"lung": 0.2, "default": 0.6}, '
        '"default": 0.5}, "fitted": []}',
    ],
)
def test_both_kinds_of_files(tmp_path, text):
    path = tmp_path / 't.json'
    path.write_text(text)
    table = load_thresholds(path)
    assert table == {'HPA': {'lung': 0.2, 'default': 0.6}, 'default': 0.5}
    metric = METRICS.build(dict(type='FTUDiceMetric', thresholds=str(path)))
    assert metric.thresholds == table


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 't.json: No such file'),
        ('{"HPA": ', 't.json: is not JSON'),
        ('[0.5]', 't.json: holds no table; expected'),
        ('{}', 't.json: holds no table'),
        ('{"thresholds": 0.5}', 't.json: holds no table'),
        ('{"HPA": {"lung": 2}}', 't.json: threshold of HPA lung: 2 is not in 0..1'),
        ('{"HPA": {"lung": NaN}}', 't.json: threshold of HPA lung: nan is not in 0..1'),
        ('{"layout": 2, "thresholds": {"HPA": 1}}', 'has the layout 2, this version'),
    ],
)
def test_unusable_files_are_named(tmp_path, text, message):
    if text is not None:
        (tmp_path / 't.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        load_thresholds(tmp_path / 't.json')


def test_an_organ_without_its_data_source_does_not_choose():
    text = organ_alone(PAPER_THRESHOLDS, 'lung')
    assert '(HPA 0.15, Hubmap 0.1)' in text
    assert '0.5 is used: say --data-source' in text
    assert organ_alone(PAPER_THRESHOLDS, 'kidney') is None
    assert organ_alone({'default': 0.3}, 'lung') is None


def test_names_count_in_any_case():
    table = {'GlaS': {'Colon': 0.2, 'default': 0.3}, 'default': 0.5}
    assert threshold_for(table, 'glas', 'colon') == 0.2
    assert threshold_for(table, 'GLAS', 'lung') == 0.3
    assert threshold_for(table, 'other', 'colon') == 0.5


def test_a_source_that_a_table_does_not_know_is_told():
    table = {'GlaS': 0.2, 'default': 0.5}
    assert "'own' (they know GlaS)" in source_without_entry(table, 'own')
    assert source_without_entry(table, 'glas') is None
    assert source_without_entry(table, None) is None
    assert source_without_entry({'default': 0.5}, 'own') is None
