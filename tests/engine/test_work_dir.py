"""Where a run goes by default: folds stay apart."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS

from mmseg_ftu.cli import run_command
from mmseg_ftu.engine.runner import (
    load_config,
    refuse_unprepared_data,
    train,
)
from mmseg_ftu.engine.work_dir import alone_in, default_work_dir

CONFIG = str(
    Path(__file__).resolve().parents[2] / 'configs/ftu/coat_daformer_switch.py'
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


@pytest.mark.parametrize('command', ['train', 'test'])
def test_data_that_are_not_prepared_are_the_only_line(
    tmp_path, monkeypatch, capfd, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('FTU_DATA', str(tmp_path / 'no data'))
    words = [CONFIG] if command == 'train' else [CONFIG, 'no.pth']
    assert run_command(command, words) == 2
    said = capfd.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"error: data_root='{tmp_path / 'no data'}' is not a")
    assert 'mmseg-ftu prepare pairs' in line
    assert said.out == ''  # neither the config
    assert [*tmp_path.iterdir()] == []  # nor a work dir


def test_prepared_data_of_a_relative_folder(make_prepared, monkeypatch):
    prepared = make_prepared(n=2)
    monkeypatch.chdir(prepared.parent)
    dataset = dict(type='HuBMAPDataset', data_root=prepared.name, split='all')
    refuse_unprepared_data(Config(dict(a=dict(dataset=dataset))), 'a')
    assert len(DATASETS.build(dataset)) == 2
    (prepared / 'folds.csv').unlink()
    with pytest.raises(ValueError, match=r'folds\.csv is missing'):
        refuse_unprepared_data(Config(dict(a=dict(dataset=dataset))), 'a')


def test_data_of_other_data_sets_are_not_looked_at(tmp_path):
    cfg = Config(dict(a=dict(dataset=dict(type='Other', data_root='nowhere'))))
    refuse_unprepared_data(cfg, 'a', 'b')
    cfg.a.dataset = dict(
        type='ConcatDataset', datasets=[dict(type='HuBMAPDataset', data_root='nowhere')]
    )
    with pytest.raises(ValueError, match='nowhere'):
        refuse_unprepared_data(cfg, 'a', 'b')


HOLD = """
import sys
from pathlib import Path
from mmseg_ftu.engine.work_dir import alone_in
with alone_in(Path(sys.argv[1])):
    print('here', flush=True)
    sys.stdin.read()
"""


def test_a_second_run_in_a_work_dir_is_refused_until_the_first_is_dead(
    tmp_path, monkeypatch
):
    command = [sys.executable, '-c', HOLD, str(tmp_path)]
    first = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        while first.stdout.readline() != 'here\n':  # mmengine greets
            assert first.poll() is None
        with pytest.raises(ValueError, match='trains there'), alone_in(tmp_path):
            pass
        monkeypatch.setenv('OMPI_COMM_WORLD_RANK', '1')
        with alone_in(tmp_path, 'mpi'):  # the first process speaks for all
            pass
    finally:
        first.kill()
        first.communicate()
    for _ in range(2):
        with alone_in(tmp_path):
            pass
