import json
from dataclasses import replace

import pandas as pd
import pytest
from toy_study import finish, plan, record, write_study

from mmseg_ftu.study.plan import read_about
from mmseg_ftu.study.run_records import COLUMNS, Records, collect, pack, unpack


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
    with pytest.raises(ValueError, match='holds 7 runs that this plan does not count'):
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
