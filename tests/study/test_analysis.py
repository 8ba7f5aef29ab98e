import numpy as np
import pandas as pd
import pytest
from toy_study import ANALYSIS, finish, plan, write_study

from mmseg_ftu.study.analysis import Difference, analyse
from mmseg_ftu.study.run_records import Records
from mmseg_ftu.study.statistics import Interval
from mmseg_ftu.study.study_design import Contrast

ARMS = dict(normal={}, switch={}, fixed={})


@pytest.fixture(scope='module')
def data(make_prepared_once):
    return make_prepared_once(n=8, folds=2)


@pytest.fixture
def analysed(tmp_path, data, monkeypatch):
    """Return a function: effects of the arms, runs to leave out -> results."""

    def analysed(without=(), analysis=ANALYSIS, **effects):
        options = {
            arm: dict(options={'optim_wrapper.optimizer.lr': 1.0 + i})
            for i, arm in enumerate(ARMS)
        }
        study = write_study(
            tmp_path, data, arms=options, seeds=[0, 1, 2], analysis=analysis
        )
        runs = [run for run in plan(study, tmp_path) if run.id not in without]
        finish(tmp_path, runs, **effects)
        records = Records(tmp_path / 'records')
        frame = pd.concat([records.scores(run) for run in runs])
        return analyse(frame, study)

    return analysed


def by_name(differences, endpoint='dice'):
    return {
        (d.contrast.a, d.contrast.b): d for d in differences if d.endpoint == endpoint
    }


def test_an_effect_is_found_with_its_size(analysed):
    differences, means = analysed(switch=0.05)
    found = by_name(differences)
    switch = found['switch', 'normal']
    assert switch.interval.estimate == pytest.approx(0.05, abs=1e-4)
    assert switch.interval.low == pytest.approx(0.05, abs=1e-3)
    assert (switch.images, switch.patients, switch.runs) == (60, 12, 6)
    assert switch.verdict == 'better by more than 0.01'
    assert switch.p == switch.p_runs == 2 / 2**6  # of the fewest flips
    assert switch.p_holm == switch.p
    assert switch.interval.above(0.01) > 0.99
    assert list(found) == [('switch', 'normal'), ('fixed', 'normal')]
    fixed = found['fixed', 'normal']
    assert not fixed.planned
    assert np.isnan(fixed.p_holm)
    assert fixed.verdict == 'the same within 0.01'
    assert {m.arm: m.runs for m in means} == dict.fromkeys(ARMS, 6)
    normal = means[0]
    assert normal.interval.low < normal.interval.estimate < normal.interval.high
    assert set(normal.parts) == {'patient', 'image', 'fold', 'run', 'residual'}


def test_both_endpoints_are_analysed(analysed):
    differences, _ = analysed(switch=0.05)
    two = [
        by_name(differences, name)['switch', 'normal'] for name in ('dice', 'dice_tta')
    ]
    assert two[0].interval.estimate == pytest.approx(two[1].interval.estimate, abs=1e-4)


def test_planned_contrasts_are_adjusted_for_their_number(analysed):
    contrasts = [('switch', 'normal'), ('switch', 'fixed'), ('fixed', 'normal')]
    found = by_name(
        analysed(analysis=ANALYSIS | dict(contrasts=contrasts), switch=0.05)[0]
    )
    assert len(found) == 3
    assert found['switch', 'normal'].p_holm == pytest.approx(3 * 2 / 2**6)
    assert found['fixed', 'normal'].p_holm == 1


def test_planned_contrasts_count_before_they_can_be_computed(analysed):
    contrasts = [('switch', 'normal'), ('switch', 'fixed'), ('fixed', 'normal')]
    without = [f'slim_fixed_f{f}_s{s}' for f in (0, 1) for s in (0, 1, 2)]
    plan = ANALYSIS | dict(contrasts=contrasts)
    found = by_name(analysed(without, plan, switch=0.05)[0])
    assert list(found) == [('switch', 'normal')]
    assert found['switch', 'normal'].p_holm == pytest.approx(3 * 2 / 2**6)


def test_too_few_runs_promise_to_find_nothing(analysed):
    without = ['slim_switch_f0_s1']
    found = by_name(analysed(without, switch=0.05)[0])
    assert np.isnan(found['switch', 'normal'].detectable)
    assert not np.isnan(found['fixed', 'normal'].detectable)


def test_parts_of_the_deviation_are_those_of_finished_seeds(analysed):
    _, all_of_it = analysed()
    _, without_a_run = analysed(['slim_switch_f0_s1'])
    parts = {m.arm: m.parts for m in without_a_run if m.endpoint == 'dice'}
    assert parts['normal'] == all_of_it[0].parts
    assert set(parts['switch']) == set(parts['normal'])
    assert parts['switch'] != parts['normal']


def test_only_what_both_arms_have_is_compared(analysed):
    without = ['slim_switch_f0_s1', 'slim_normal_f1_s2']
    found = by_name(analysed(without, switch=0.05)[0])['switch', 'normal']
    assert found.runs == 4
    assert found.images == 60
    assert found.interval.estimate == pytest.approx(0.05, abs=1e-4)


def test_an_arm_without_runs_is_left_out(analysed):
    without = [f'slim_normal_f{f}_s{s}' for f in (0, 1) for s in (0, 1, 2)]
    differences, means = analysed(without)
    assert differences == []
    assert {m.arm for m in means} == {'switch', 'fixed'}


@pytest.mark.parametrize(
    ('low', 'high', 'verdict'),
    [
        (0.011, 0.05, 'better by more than 0.01'),
        (0.001, 0.05, 'better'),
        (0.001, 0.009, 'the same within 0.01'),
        (-0.009, 0.009, 'the same within 0.01'),
        (-0.001, 0.05, 'open'),
        (-0.05, 0.05, 'open'),
        (-0.05, -0.001, 'worse'),
        (-0.05, -0.011, 'worse by more than 0.01'),
    ],
)
def test_what_an_interval_says(low, high, verdict):
    assert difference(low, high).verdict == verdict


@pytest.mark.parametrize(
    ('changes', 'verdict'),
    [
        (dict(p_holm=0.06), 'open'),
        (dict(p_holm=0.06, planned=False), 'better by more than 0.01'),
        (dict(p_runs=0.06, planned=False), 'open'),
        (dict(runs=5), 'too few runs'),
        (dict(patients=5, runs=5), 'too few patients'),
    ],
)
def test_an_interval_alone_is_not_enough(changes, verdict):
    assert difference(0.02, 0.05, **changes).verdict == verdict


def test_few_runs_are_not_alike_either():
    assert difference(-0.001, 0.001, runs=5).verdict == 'too few runs'


def difference(low, high, **changes):
    """Return a difference with an interval of these ends."""
    interval = Interval((low + high) / 2, 1.0, 10)
    interval = Interval(interval.estimate, (high - low) / 2 / interval.half_width, 10)
    known = dict(
        model='slim',
        endpoint='dice',
        contrast=Contrast('a', 'b'),
        planned=True,
        images=60,
        patients=11,
        runs=15,
        interval=interval,
        bootstrap=(low, high),
        p_patients=0.01,
        p_runs=0.01,
        p_holm=0.02,
        false_claim=0.1,
        detectable=0.1,
        margin=0.01,
    )
    return Difference(**(known | changes))
