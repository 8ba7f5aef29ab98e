import json
from dataclasses import replace

import pandas as pd
import pytest
from toy_study import finish, plan, record, write_study

from mmseg_ftu.study.collected_tables import collect, pack
from mmseg_ftu.study.plan import read_about, read_rows
from mmseg_ftu.study.run_records import COLUMNS, Records, unpack


@pytest.fixture(scope='module')
def planned(make_prepared_once, tmp_path_factory):
    """Return study, runs and the folder of their plan."""
    folder = tmp_path_factory.mktemp('planned')
    study = write_study(folder, make_prepared_once(n=8, folds=2))
    return study, plan(study, folder), folder / 'plan.csv'


def test_a_record_says_what_was_scored(tmp_path, planned):
    run = planned[1][1]
    record(tmp_path, run)
    records = Records(tmp_path / 'records')
    frame = records.scores(run)
    assert list(frame.columns) == COLUMNS
    assert set(frame.arm) == {'switch'}
    note = records.note(run)
    assert note['images'] == len(frame) == 30
    assert note['dice'] == pytest.approx(frame.dice.mean(), abs=1e-4)
    assert note['curves']['Dice'][0] == [1, 0.51]


@pytest.mark.parametrize(
    'change',
    [dict(config='0' * 12), dict(data='0' * 12), dict(code='9'), dict(epochs=9)],
)
def test_a_record_of_another_plan_does_not_count(tmp_path, planned, change):
    run = planned[1][0]
    record(tmp_path, replace(run, **change))
    records = Records(tmp_path / 'records')
    assert records.note(run) is None
    assert records.others([run]) == [run.id]


def test_half_a_record_does_not_count(tmp_path, planned):
    first, second = planned[1][:2]
    for run in (first, second):
        record(tmp_path, run)
    (tmp_path / 'records' / f'{first.id}.csv').unlink()
    (tmp_path / 'records' / f'{second.id}.json').write_text('{"run":')
    records = Records(tmp_path / 'records')
    assert [records.note(run) for run in (first, second)] == [None, None]


def change_csv(path, change):
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(frame).to_csv(path, index=False)


DAMAGES = {
    'cut': (lambda f: f[:14], 'there are 14 of 30 images'),
    'doubled': (lambda f: pd.concat([f[:29], f[:1]]), 'the image f0_0 stands there tw'),
    'other arm': (lambda f: f.assign(arm='x'), 'the column arm has other values than'),
    'other fold': (lambda f: f.assign(fold='3'), 'the column fold has other values'),
    'not a number': (lambda f: f.assign(dice='nan'), 'dice of the image f0_0 is nan'),
    'percent': (lambda f: f.assign(dice_tta='71'), 'dice_tta of the image f0_0 is 71'),
    'edited': (lambda f: f.assign(dice='0.9'), 'the mean of dice is 0.90000, and was'),
    'text': (lambda f: f.assign(dice='good'), 'could not convert'),
    'renamed': (lambda f: f.rename(columns=dict(dice='d')), 'columns are missing: di'),
}


@pytest.mark.parametrize(('change', 'message'), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_refused(tmp_path, planned, change, message):
    run = planned[1][0]
    record(tmp_path, run)
    path = tmp_path / 'records' / f'{run.id}.csv'
    change_csv(path, change)
    for ask in ('note', 'scores'):
        with pytest.raises(ValueError, match=rf'{path.name}.*{message}'):
            getattr(Records(tmp_path / 'records'), ask)(run)


def test_a_note_that_lacks_something_is_refused(tmp_path, planned):
    run = planned[1][0]
    record(tmp_path, run)
    path = tmp_path / 'records' / f'{run.id}.json'
    note = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in note.items() if k != 'seconds'}))
    with pytest.raises(ValueError, match=r'\.json lacks seconds: remove .*\.csv and'):
        Records(tmp_path / 'records').note(run)


@pytest.mark.parametrize(
    ('name', 'change', 'message'),
    [
        ('toy_slim.csv', lambda f: f[:-1], 'switch_f1_s1: there are 29 of 30 images'),
        ('toy_slim.csv', lambda f: f[1:], 'normal_f0_s0: there are 29 of 30 images'),
        ('toy_runs.csv', lambda f: f.drop(columns='seconds'), 'are missing: seconds'),
        ('toy_curves.csv', lambda f: f.assign(points='1:a'), 'a curve is x:y'),
    ],
)
def test_damaged_tables_are_refused(tmp_path, planned, name, change, message):
    _, runs, path = planned
    finish(tmp_path, runs)
    tables = tmp_path / 'tables'
    collect(runs, Records(tmp_path / 'records'), tables, path)
    change_csv(tables / name, change)
    records = Records(tmp_path / 'none', [tables])
    with pytest.raises(ValueError, match=f'{name}: .*{message}'):
        [records.note(run) for run in runs]


def test_a_table_of_a_model_that_is_gone_is_said(tmp_path, planned):
    _, runs, path = planned
    finish(tmp_path, runs[:1])
    collect(runs, Records(tmp_path / 'records'), tmp_path, path)
    (tmp_path / 'toy_slim.csv').unlink()
    with pytest.raises(ValueError, match=r'toy_slim\.csv: .*there are 0 of 30 images'):
        Records(tmp_path / 'none', [tmp_path]).note(runs[0])


def test_an_older_plan_takes_nothing_away(tmp_path, planned):
    """Collecting from a machine with fewer planned runs keeps the others planned."""
    _, runs, path = planned
    tables, fewer = tmp_path / 'tables', tmp_path / 'plan.csv'
    finish(tmp_path, runs[:2])
    records = Records(tmp_path / 'records', [tables])
    collect(runs, records, tables, path)
    fewer.write_text(''.join(path.read_text().splitlines(keepends=True)[:3]))
    collect(runs[:2], Records(tmp_path / 'records', [tables]), tables, fewer)
    assert read_rows(tables / 'toy_plan.csv') == runs


def test_tables_of_another_study_are_left_alone(tmp_path, planned):
    """Study toy with a model a_b, study toy_a with a model b: one name of a file."""
    _, runs, path = planned
    for study, model in (('toy', 'a_b'), ('toy_a', 'b')):
        run = replace(runs[0], study=study, model=model, id=f'{model}_normal_f0_s0')
        record(tmp_path, run)
        own = Records(tmp_path / 'records')
        if study == 'toy':
            collect([run], own, tmp_path / 'tables', path)
    with pytest.raises(ValueError, match=r'toy_a_b\.csv holds runs of the study toy:'):
        collect([run], own, tmp_path / 'tables', path)


def test_collected_records_count_like_records(tmp_path, planned):
    _, runs, path = planned
    finish(tmp_path, runs[:5], switch=0.1)
    own, tables = Records(tmp_path / 'records'), tmp_path / 'tables'
    written = collect(runs, own, tables, path)
    assert [p.name for p in written] == [
        'toy_slim.csv',
        'toy_runs.csv',
        'toy_curves.csv',
    ]
    assert (tables / 'toy_plan.csv').read_bytes() == path.read_bytes()
    elsewhere = Records(tmp_path / 'none', [tables])
    for run in runs[:5]:
        pd.testing.assert_frame_equal(
            elsewhere.scores(run).reset_index(drop=True), own.scores(run)
        )
        there, here = elsewhere.note(run), own.note(run)
        for key in ('images', 'dice', 'dice_tta', 'seconds', 'device', 'run'):
            assert there[key] == here[key]
        assert there['curves']['Dice'] == [tuple(p) for p in here['curves']['Dice']]
        assert 'grad_main_ratio/stage_0' in {*here['curves']} - {*there['curves']}
    assert elsewhere.note(runs[5]) is None
    assert elsewhere.note(replace(runs[0], config='0' * 12)) is None


def test_tables_grow_and_are_the_same_each_time(tmp_path, planned):
    _, runs, path = planned
    tables = tmp_path / 'tables'
    finish(tmp_path / 'a', runs[:5])
    finish(tmp_path / 'b', runs[5:])
    for name in 'ab':  # two machines, one after the other
        collect(runs, Records(tmp_path / name / 'records', [tables]), tables, path)
    finish(tmp_path / 'all', runs)
    again = tmp_path / 'again'
    collect(runs, Records(tmp_path / 'all' / 'records'), again, path)
    for name in ('toy_slim.csv', 'toy_runs.csv', 'toy_curves.csv'):
        assert (tables / name).read_bytes() == (again / name).read_bytes()


def test_the_first_date_of_a_plan_stays(tmp_path, planned):
    """A study that goes on elsewhere is planned once more there."""
    _, runs, path = planned
    finish(tmp_path, runs[:2])
    tables = tmp_path / 'tables'
    collect(runs, Records(tmp_path / 'records'), tables, path)
    (first,) = read_about(path)['planned']
    elsewhere = tmp_path / 'plan.csv'
    elsewhere.write_bytes(path.read_bytes())
    later = first | dict(date='2099-01-01 00:00 UTC', commit='abc')
    note = read_about(path) | dict(planned=[later])
    elsewhere.with_suffix('.json').write_text(json.dumps(note))
    records = Records(tmp_path / 'records', [tables])
    for into in (tmp_path / 'new', tables, tables):
        collect(runs, records, into, elsewhere)
        assert read_about(into / 'toy_plan.csv')['planned'] == [first, later]


def test_collecting_never_loses_runs_of_another_plan(tmp_path, planned):
    _, runs, path = planned
    tables = tmp_path / 'tables'
    finish(tmp_path, runs)
    collect(runs, Records(tmp_path / 'records'), tables, path)
    others = [replace(run, config='0' * 12) for run in runs[:1]]
    finish(tmp_path, others)
    with pytest.raises(ValueError, match='holds 1 runs that this plan does not count'):
        collect(others, Records(tmp_path / 'records'), tables, path)


def test_files_of_others_are_left_alone(tmp_path, planned):
    _, runs, path = planned
    finish(tmp_path, runs[:1])
    (tmp_path / 'toy_curves.csv').write_text('something else\n')
    with pytest.raises(ValueError, match='was not written by this tool'):
        collect(runs, Records(tmp_path / 'records'), tmp_path, path)
    assert not (tmp_path / 'toy_slim.csv').exists()


def test_curves_are_thinned_and_keep_their_end():
    points = [(float(x), x / 3) for x in range(1, 101)]
    kept = unpack(pack(points))
    assert len(kept) == 12
    assert kept[-1] == (100, 33.33)
    assert unpack(pack(points[:7])) == [(x, float(f'{y:.4g}')) for x, y in points[:7]]
