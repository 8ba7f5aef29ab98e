import json

import pytest
from mmengine.config import Config

from mmseg_ftu.study.learning_curves import read_run_curves
from mmseg_ftu.study.mean_curves import mean_curves
from mmseg_ftu.study.phases import marks_of
from mmseg_ftu.study.plan import Run


def write_session(work_dir, name, lines):
    folder = work_dir / name / 'vis_data'
    folder.mkdir(parents=True)
    (folder / f'{name}.json').write_text('\n'.join(map(json.dumps, lines)) + '\n')


def step(iteration, loss, **others):
    epoch = -(-iteration // 2)
    known = dict(loss=loss, time=0.5, epoch=epoch, iter=iteration, step=iteration)
    return {**known, 'grad_main/stage_0': 0.1 * iteration, 'lr': 1.0, **others}


def test_epochs_that_a_resumption_repeats_count_once(tmp_path):
    first = [step(1, 0.9), step(2, 0.7), dict(Dice=0.4, step=1, time=9.0), step(3, 9.0)]
    write_session(tmp_path, '20260101_000000', first)
    later = [step(3, 0.6), step(4, 0.4), dict(Dice=0.6, step=2, time=9.0)]
    write_session(tmp_path, '20260101_010000', later)
    curves, seconds = read_run_curves(tmp_path)
    assert curves == {
        'Dice': [[1, 0.4], [2, 0.6]],
        'grad_main/stage_0': [[1, 0.15], [2, 0.35]],
        'loss': [[1, 0.8], [2, 0.5]],
    }
    assert seconds == pytest.approx(4 * 0.5)


def test_nothing_logged_is_no_fault(tmp_path):
    assert read_run_curves(tmp_path) == ({}, 0)


def note(arm, seed, *dice):
    points = [[i + 1, value] for i, value in enumerate(dice)]
    run = Run(f'{arm}{seed}', 's', 'slim', arm, 0, seed, 2, 'c', 'd', '1')
    return run, dict(curves=dict(Dice=points))


def test_curves_are_averaged_where_all_runs_have_them():
    notes = dict([note('a', 0, 0.2, 0.4), note('a', 1, 0.4, 0.8, 0.9), note('b', 0, 1)])
    curves = mean_curves(notes, 'slim')
    assert curves['a']['Dice'] == [(1, pytest.approx(0.3)), (2, pytest.approx(0.6))]
    assert curves['b']['Dice'] == [(1, 1)]
    assert mean_curves(notes, 'other') == {}


@pytest.mark.parametrize(
    ('hooks', 'marks'),
    [
        (None, []),
        ([dict(type='EMAHook')], []),
        (
            [
                dict(
                    type='SwitchAuxHook',
                    schedule=[dict(begin=0, in_index=1), dict(begin=15, in_index=0)],
                )
            ],
            [(0, 'stage 1'), (15, 'stage 0')],
        ),
        (
            [
                dict(
                    type='SwitchAuxHook',
                    schedule=[
                        dict(begin=0, in_index=[0, 2]),
                        dict(begin=0.5, in_index=None),
                        dict(begin=0.75, in_index='random'),
                    ],
                ),
                dict(type='RestartOptimizerHook', at=0.5),
            ],
            [(0, 'stages 0, 2'), (15, 'off, restart'), (22, 'random')],
        ),
    ],
)
def test_what_changes_in_a_run(hooks, marks):
    assert marks_of(Config(dict(custom_hooks=hooks)), 30) == marks
