"""Thresholds of configs, of files and of the command line."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import METRICS

from mmseg_ftu.engine.config_thresholds import (
    fill_in_thresholds,
    set_thresholds,
    thresholds_of,
)
from mmseg_ftu.evaluation import PAPER_THRESHOLDS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / 'configs').glob('[!_]*/*.py'))
LUNG = 'test_evaluator.thresholds.HPA.lung'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_every_config_has_the_papers_table(path):
    cfg = Config.fromfile(path)
    assert thresholds_of(cfg) == PAPER_THRESHOLDS
    assert cfg.val_evaluator.thresholds == cfg.test_evaluator.thresholds


def test_the_papers_table_stands_in_one_base_file():
    bases = (ROOT / 'configs' / '_base_').rglob('*.py')
    with_table = [p.name for p in bases if 'Hubmap=' in p.read_text()]
    assert with_table == ['hubmap_768x768.py']


def test_one_entry_is_changed_and_the_others_stay():
    cfg = Config.fromfile(CONFIGS[0])
    cfg.merge_from_dict({LUNG: 0.2})
    expected = PAPER_THRESHOLDS | {'HPA': {'default': 0.5, 'lung': 0.2}}
    assert thresholds_of(cfg) == expected
    assert METRICS.build(cfg.test_evaluator).thresholds == expected
    assert METRICS.build(cfg.val_evaluator).thresholds == PAPER_THRESHOLDS


@pytest.mark.parametrize(
    'evaluator',
    [None, {'type': 'IoUMetric'}, [{'type': 'IoUMetric'}], {'type': 'FTUDiceMetric'}],
)
def test_a_config_without_a_table_has_the_papers(evaluator):
    assert thresholds_of(Config(dict(test_evaluator=evaluator))) == PAPER_THRESHOLDS


def test_one_entry_of_a_config_without_a_table():
    cfg = Config(dict(test_evaluator=dict(type='FTUDiceMetric')))
    fill_in_thresholds(cfg)
    cfg.merge_from_dict({LUNG: 0.2})
    assert thresholds_of(cfg)['HPA'] == {'default': 0.5, 'lung': 0.2}
    assert thresholds_of(cfg)['Hubmap'] == PAPER_THRESHOLDS['Hubmap']
    assert PAPER_THRESHOLDS['HPA']['lung'] == 0.15
    other = Config(dict(test_evaluator=dict(type='IoUMetric')))
    fill_in_thresholds(other)
    assert other.test_evaluator == dict(type='IoUMetric')


def test_one_of_several_metrics():
    table = dict(default=0.3)
    metric = dict(type='mmseg.FTUDiceMetric', thresholds=table)
    cfg = Config(dict(test_evaluator=[dict(type='IoUMetric'), metric]))
    assert thresholds_of(cfg) == table


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 't.json'
    path.write_text(json.dumps({'HPA': 0.3, 'own': {'gut': 0.6}, 'default': 0.7}))
    return path


def test_a_file_replaces_the_table_and_options_go_over_it(file):
    cfg = Config.fromfile(CONFIGS[0])
    options = {LUNG: 0.2, 'test_evaluator.thresholds.default': 0.9, 'fold': 1}
    set_thresholds(cfg, file, None)
    assert cfg.test_evaluator.thresholds == {
        'HPA': {'default': 0.3},
        'own': {'gut': 0.6},
        'default': 0.7,
    }
    set_thresholds(cfg, file, options)
    assert METRICS.build(cfg.test_evaluator).thresholds == {
        'HPA': {'default': 0.3, 'lung': 0.2},
        'own': {'gut': 0.6},
        'default': 0.9,
    }


def test_what_does_not_go_together_is_refused(file):
    cfg = Config.fromfile(CONFIGS[0])
    with pytest.raises(ValueError, match=r't\.json and .*thresholds=b\.json: give one'):
        thresholds_of(cfg, file, {'test_evaluator.thresholds': 'b.json'})
    with pytest.raises(ValueError, match=r'threshold of HPA lung: 2 is not in 0\.\.1'):
        thresholds_of(cfg, file, {LUNG: 2})
    cfg.test_evaluator = dict(type='IoUMetric')
    with pytest.raises(ValueError, match='holds no FTUDiceMetric'):
        set_thresholds(cfg, file, None)
