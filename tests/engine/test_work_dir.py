"""Where a run goes by default: folds stay apart."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_ftu.engine.runner import load_config, train
from mmseg_ftu.engine.work_dir import default_work_dir

CONFIG = str(
    Path(__file__).resolve().parents[1] / 'configs/ftu/coat_daformer_switch.py'
)
FOLDER = str(Path('work_dirs') / 'coat_daformer_switch')


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ('FOLD', 'FTU_DATA'):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ('fold', 'expected'), [(None, 'fold_0'), ('0', 'fold_0'), ('3', 'fold_3')]
)
def test_the_fold_is_in_the_name(monkeypatch, fold, expected):
    if fold is not None:
        monkeypatch.setenv('FOLD', fold)
    assert load_config(CONFIG).work_dir == str(Path(FOLDER, expected))


def test_what_is_given_wins(tmp_path):
    assert load_config(CONFIG, str(tmp_path)).work_dir == str(tmp_path)
    cfg = load_config(CONFIG, cfg_options=dict(work_dir='elsewhere'))
    assert cfg.work_dir == 'elsewhere'


@pytest.mark.parametrize(
    ('dataset', 'expected'),
    [
        (dict(type='HuBMAPDataset', fold=2, split='all'), 'all'),
        (dict(type='RepeatDataset', dataset=dict(fold='4')), 'fold_4'),
        (dict(type='ConcatDataset', datasets=[dict(fold=1), dict(fold=1)]), 'fold_1'),
        (dict(type='ConcatDataset', datasets=[dict(fold=1), dict(fold=2)]), ''),
        (dict(type='CustomDataset'), ''),
    ],
)
def test_other_datasets(dataset, expected):
    cfg = Config(dict(train_dataloader=dict(dataset=dataset)))
    assert default_work_dir(cfg, CONFIG) == str(Path(FOLDER, expected))


def test_a_fold_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv('FOLD', 'three')
    with pytest.raises(ValueError, match=r"fold='three' is not a whole .*FOLD"):
        load_config(CONFIG)


@pytest.mark.parametrize(
    ('options', 'variable'), [(dict(fold=3), 'FOLD'), (dict(data_root='x'), 'FTU_DATA')]
)
def test_a_setting_that_reaches_no_data_is_refused(options, variable):
    (name,) = options
    with pytest.raises(ValueError, match=f'{name}=.*variable {variable} instead'):
        load_config(CONFIG, cfg_options=options)
    for kind in ('train', 'val', 'test'):
        options[f'{kind}_dataloader.dataset.{name}'] = options[name]
    assert load_config(CONFIG, cfg_options=options)[name] == options[name]


@pytest.mark.parametrize('place', ['.', 'runs', 'images/runs'])
def test_a_run_in_the_data_is_refused(make_prepared, monkeypatch, place):
    prepared = make_prepared(n=2)
    monkeypatch.setenv('FTU_DATA', str(prepared))
    before = sorted(prepared.rglob('*'))
    with pytest.raises(ValueError, match='lies in the data'):
        train(CONFIG, str(prepared / place))
    assert sorted(prepared.rglob('*')) == before
