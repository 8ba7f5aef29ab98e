import pytest
from toy_study import ANALYSIS, SLIM, SWITCH, plan, write_study
from toy_study import MODEL as SLIM_CONFIG

from mmseg_ftu.prepared_folder import PreparedFolder
from mmseg_ftu.study.command import plan_study
from mmseg_ftu.study.plan import find_plan, list_runs, read_plan, write_plan


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=8, folds=2)


def test_rows_are_balanced_at_any_moment(tmp_path, data):
    runs = plan(write_study(tmp_path, data), tmp_path / 'out')
    assert [run.id for run in runs] == [
        'slim_normal_f0_s0',
        'slim_switch_f0_s0',
        'slim_normal_f1_s0',
        'slim_switch_f1_s0',
        'slim_normal_f0_s1',
        'slim_switch_f0_s1',
        'slim_normal_f1_s1',
        'slim_switch_f1_s1',
    ]
    assert read_plan(tmp_path / 'out') == runs
    assert len({(run.arm, run.config) for run in runs}) == 2
    assert len({run.data for run in runs}) == 1


def test_the_matrix_leaves_runs_out(tmp_path, data):
    models = dict(slim='mmseg_ftu::tissue/coat_slim_daformer.py')
    models['second'] = models['slim']
    study = write_study(tmp_path, data, models=models, matrix=dict(second=['normal']))
    runs = list_runs(study, PreparedFolder.open(data))
    assert [run.id for run in runs[:3]] == [
        'slim_normal_f0_s0',
        'slim_switch_f0_s0',
        'second_normal_f0_s0',
    ]
    assert len(runs) == 12


def test_what_a_plan_holds_is_said(tmp_path, data, capsys):
    arms = dict(normal={}, switch=SWITCH, other=SWITCH)
    matrix = dict(slim=['normal', 'switch'])
    study = write_study(tmp_path, data, arms=arms, matrix=matrix)
    plan_study(study.path, tmp_path / 'out', [])
    assert '8 runs, 8 of them new (1 models, 2 arms, 2 folds, 2 seeds)' in (
        capsys.readouterr().out
    )


def test_a_plan_is_extended_only_when_told(tmp_path, data):
    out, folder = tmp_path / 'out', PreparedFolder.open(data)
    first = plan(write_study(tmp_path, data, seeds=[0]), out)
    longer = write_study(tmp_path, data)
    with pytest.raises(ValueError, match=r'lacks 4 runs .* --extend adds them'):
        write_plan(longer, folder, out)
    runs, new = write_plan(longer, folder, out, extend=True)
    assert (runs[:4], new) == (first, 4)
    assert write_plan(longer, folder, out) == (runs, 0)


@pytest.mark.parametrize(
    ('changes', 'fault'),
    [
        (
            dict(options=SLIM | {'optim_wrapper.optimizer.lr': 1.0}),
            'the config of slim',
        ),
        (dict(epochs=5), 'the epochs of slim_normal_f0_s0'),
        (dict(seeds=[0]), 'slim_normal_f0_s1, slim_switch_f0_s1, .* no longer part'),
        (dict(name='other'), 'the study of'),
    ],
)
def test_a_changed_study_is_refused(tmp_path, data, changes, fault):
    out, folder = tmp_path / 'out', PreparedFolder.open(data)
    plan(write_study(tmp_path, data), out)
    before = (out / 'plan.csv').read_bytes()
    changed = write_study(tmp_path, data, **changes)
    for extend in (False, True):
        with pytest.raises(ValueError, match=fault) as error:
            write_plan(changed, folder, out, extend)
    assert 'is not the study that was planned' in str(error.value)
    assert (out / 'plan.csv').read_bytes() == before


def test_what_changes_no_run_changes_no_plan(tmp_path, data):
    out = tmp_path / 'out'
    runs = plan(write_study(tmp_path, data), out)
    study = write_study(tmp_path, data, analysis=ANALYSIS | dict(margin=0.02))
    assert plan(study, out) == runs


def test_other_folds_are_other_data(tmp_path, data, make_prepared):
    out = tmp_path / 'out'
    plan(write_study(tmp_path, data), out)
    other = make_prepared(n=8, folds=4)
    with pytest.raises(ValueError, match='the data of slim_normal_f0_s0'):
        plan(write_study(tmp_path, other), out)
    copy = make_prepared(n=8, folds=2, name='copy')
    assert plan(write_study(tmp_path, copy), out) == read_plan(out)


def test_arms_that_do_not_differ_are_refused(tmp_path, data):
    study = write_study(tmp_path, data, arms=dict(normal={}, switch={}))
    with pytest.raises(ValueError, match='the arms normal and switch are the same'):
        plan(study, tmp_path / 'out')


LATE = [dict(begin=0, in_index=1), dict(begin=9, in_index=0)]
FIFTH = [dict(begin=0, in_index=4)]


@pytest.mark.parametrize(
    ('keys', 'message'),
    [
        (dict(custom_hooks=[dict(type='No')]), r'arm wrong: the hook No .*registry'),
        (
            dict(custom_hooks=[dict(type='SwitchAuxHook', schedule=LATE)]),
            r'schedule\[1\] begins after the last epoch',
        ),
        (
            dict(custom_hooks=[dict(type='SwitchAuxHook', schedule=FIFTH)]),
            r'schedule\[0\]: .*4',
        ),
        (
            {'train_cfg.max_epochs': 3},
            r'makes train_cfg\.max_epochs 3; .*study, 4',
        ),
    ],
)
def test_runs_that_would_fail_are_not_planned(tmp_path, data, keys, message):
    wrong = dict(base='mmseg_ftu::_base_/aux_loss.py', options=keys)
    study = write_study(
        *(tmp_path, data),
        arms=dict(normal={}, wrong=wrong),
        analysis=ANALYSIS | dict(contrasts=[('wrong', 'normal')]),
    )
    with pytest.raises(ValueError, match=message):
        plan(study, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_switch_without_an_auxiliary_head_is_not_planned(tmp_path, data):
    study = write_study(
        tmp_path, data, arms=dict(normal={}, switch=SWITCH | dict(base=()))
    )
    with pytest.raises(ValueError, match=r'SwitchAuxHook .*has no auxiliary_head'):
        plan(study, tmp_path / 'out')


def test_names_that_give_an_id_twice_are_refused(tmp_path, data):
    models = dict.fromkeys(('slim', 'slim_x'), SLIM_CONFIG)
    arms = dict(normal={}, x_normal=SWITCH)
    contrasts = ANALYSIS | dict(contrasts=[('x_normal', 'normal')])
    study = write_study(tmp_path, data, models=models, arms=arms, analysis=contrasts)
    with pytest.raises(ValueError, match=r'give slim_x_normal_f0_s0.* twice: rename'):
        plan(study, tmp_path / 'out')


def test_other_views_are_another_plan(tmp_path, data):
    plan(write_study(tmp_path, data), tmp_path / 'out')
    for views, same in ((['identity', 'hflip', 'vflip'], True), (['identity'], False)):
        study = write_study(tmp_path, data, views=views)
        if same:
            plan(study, tmp_path / 'out')
        else:
            with pytest.raises(ValueError, match='the config of slim_normal_f0_s0'):
                plan(study, tmp_path / 'out')


def test_a_fold_that_is_not_there(tmp_path, data):
    study = write_study(tmp_path, data, folds=[0, 7])
    with pytest.raises(ValueError, match='no image of fold 7'):
        plan(study, tmp_path / 'out')


def test_plans_that_cannot_be_read(tmp_path, data):
    study = write_study(tmp_path, data)
    with pytest.raises(ValueError, match='write it first with `mmseg-ftu study plan'):
        find_plan(study, tmp_path, [tmp_path])
    path = tmp_path / 'toy_plan.csv'
    path.write_text('id,study\na,b\n')
    with pytest.raises(ValueError, match='columns are missing: model, arm'):
        find_plan(study, tmp_path, [tmp_path])
