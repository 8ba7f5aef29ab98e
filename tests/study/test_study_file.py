from pathlib import Path

import pytest
from toy_study import ANALYSIS, study_keys, write_study

from mmseg_ftu.study.run_config import run_config
from mmseg_ftu.study.study_design import Contrast
from mmseg_ftu.study.study_file import read_study, study_of

STUDIES = sorted((Path(__file__).parents[2] / 'docs' / 'study').glob('*.py'))


def read(**changes):
    return study_of(study_keys(Path('data'), **changes), Path('study.py'))


def test_what_a_file_says(tmp_path):
    study = write_study(
        tmp_path, tmp_path / 'data', matrix=dict(slim=['normal', 'switch'])
    )
    assert (study.name, study.folds, study.seeds) == ('toy', (0, 1), (0, 1))
    assert study.epochs == {'slim': 4}
    assert study.arms['switch'].base == ('mmseg_ftu::_base_/aux_loss.py',)
    assert study.arms_of('slim') == ('normal', 'switch')
    assert study.endpoints == ('dice', 'dice_tta')
    assert study.analysis.contrasts == (Contrast('switch', 'normal'),)
    assert study.analysis.reference == 'normal'
    assert study.contrast_label(Contrast('switch', 'normal')) == 'switch minus normal'


def test_names_with_an_underscore_are_the_users(tmp_path):
    assert read(_half=2).name == 'toy'


def test_data_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv('FTU_DATA', str(tmp_path / 'here'))
    study = write_study(tmp_path, tmp_path)
    text = study.path.read_text().replace(
        f'data = {str(tmp_path)!r}', "data = __import__('os').environ['FTU_DATA']"
    )
    study.path.write_text(text)
    assert read_study(study.path).data == tmp_path / 'here'


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.stem)
def test_studies_of_the_repository_ask_with_the_same_bounds(path):
    study = read_study(path)
    assert study.name == path.stem.replace('_', '-')
    assert study.analysis.margin == 0.01
    assert study.analysis.contrasts[:2] == (
        Contrast('switch', 'normal'),
        Contrast('switch', 'fixed_1'),
    )
    for model in study.models:
        for arm in study.arms_of(model):
            run_config(study, model, arm, 0, 0, Path('data'))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(fold=[0]), 'unknown keys fold; a study has analysis, arms'),
        (dict(name='my study'), "study 'my study': use letters"),
        (dict(models={}), 'there is no model'),
        (dict(models={'a/b': 'x.py'}), "model 'a/b': use letters"),
        (dict(arms={'_x': {}}), "arm '_x': use letters"),
        (dict(arms=dict(normal=dict(bases=[]))), 'unknown keys bases; an arm has'),
        (dict(folds=[0, 0]), r'folds=\[0, 0\]: give different whole numbers from 0'),
        (dict(folds=3), 'folds=3: give different whole numbers'),
        (dict(seeds=[-1]), 'give different whole numbers from 0'),
        (dict(epochs=0), r'epochs of slim=\[0\]: give different whole numbers from 1'),
        (dict(epochs={}), 'epochs has no entry for the model slim'),
        (dict(views=['up']), r"views=\['up'\]: choose from identity, hflip"),
        (dict(endpoints=['iou']), 'choose from dice, dice_tta'),
        (dict(matrix=dict(coat=['normal'])), 'matrix names coat, which is not in'),
        (dict(matrix=dict(slim=['off'])), 'choose from normal, switch'),
        (dict(analysis=dict(date='x')), 'analysis lacks contrasts'),
        (dict(analysis=ANALYSIS | dict(alpha=1)), 'analysis has unknown keys alpha'),
        (
            dict(analysis=ANALYSIS | dict(contrasts=['switch'])),
            "'switch' is not a pair",
        ),
        (
            dict(analysis=ANALYSIS | dict(contrasts=[('switch', 'off')])),
            'is not a pair of two different arms out of normal, switch',
        ),
        (dict(analysis=ANALYSIS | dict(reference='off')), 'is not one of the arms'),
        (dict(analysis=ANALYSIS | dict(margin=0)), 'give a Dice above 0, below 1'),
        (dict(curve_points=0), 'give different whole numbers from 1'),
        (dict(name=None), 'study None: use letters'),
        (dict(models=['a.py']), r"models=\['a.py'\]: give a dict"),
        (dict(models=dict(a=None)), r"models\['a'\]=None: give the path of a config"),
        (dict(models=dict(runs='a.py')), r"models\['runs'\]='a.py': .*other than runs"),
        (dict(arms=['normal']), r"arms=\['normal'\]: give a dict"),
        (dict(arms={1: {}}), 'arm 1: use letters'),
        (dict(arms=dict(a=dict(base=5))), r"arms\['a'\].base=5: give paths"),
        (dict(arms=dict(a=dict(label=5))), r"arms\['a'\].label=5: give a text"),
        (dict(arms=dict(a=dict(label='x\ny'))), 'give a text of one line'),
        (dict(arms=dict(a=dict(epochs=-5))), 'epochs=.*whole numbers from 1'),
        (dict(arms=dict(a=dict(epochs='120'))), 'epochs=.*whole numbers from 1'),
        (dict(arms=dict(a=dict(options=[1]))), r'options=\[1\]: give a dict'),
        (dict(seeds=[2**32]), 'give different whole numbers from 0 to 4294967295'),
        (dict(epochs=dict(slim=4, coat=9)), 'epochs names coat, which is not in'),
        (dict(views=None), 'views=None: choose from'),
        (dict(endpoints=5), 'endpoints=5: choose from'),
        (dict(options=[1]), r'options=\[1\]: give a dict'),
        (dict(hooks='GradientNormHook'), 'hooks=.*give a list of dict'),
        (dict(hooks=dict(interval=3)), 'hooks=.*give a list of dict'),
        (dict(analysis=None), 'analysis=None: give a dict'),
        (dict(analysis=ANALYSIS | dict(margin='.1')), "margin='.1': give a Dice above"),
        (dict(analysis=ANALYSIS | dict(seed=-1)), 'seed=.*whole numbers from 0'),
        (dict(analysis=ANALYSIS | dict(contrasts=None)), 'contrasts=None: give a list'),
        (dict(analysis=ANALYSIS | dict(reference=['normal'])), 'is not one of the ar'),
        (
            dict(
                analysis=ANALYSIS
                | dict(contrasts=[('switch', 'normal'), ('normal', 'switch')])
            ),
            'analysis.contrasts has a pair of arms twice',
        ),
        (dict(matrix=dict(slim=['normal'])), 'no model has both arms of'),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_a_missing_key_and_a_broken_file(tmp_path):
    keys = study_keys(tmp_path)
    del keys['seeds']
    with pytest.raises(ValueError, match='the keys seeds are missing'):
        study_of(keys, tmp_path)
    with pytest.raises(FileNotFoundError, match='there is no such study file'):
        read_study(tmp_path / 'none.py')
    broken = tmp_path / 'broken.py'
    for text in ('name = 1 +', 'raise SystemExit(3)'):
        broken.write_text(text)
        with pytest.raises(ValueError, match=r'broken.py: can not be read as a study'):
            read_study(broken)
    broken.write_text('name = 1', encoding='utf-8-sig')
    with pytest.raises(ValueError, match='begins with a byte order mark'):
        read_study(broken)
