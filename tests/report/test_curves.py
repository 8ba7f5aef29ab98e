"""Curves of real runs, and of logs that a kill cut short."""

import json
import time

import pytest
from tiny_run import build, tiny_config

from mmseg_ftu.engine.aux_stages import as_scalar, in_words
from mmseg_ftu.report.charts import draw_panels, round_ticks
from mmseg_ftu.report.curves import Switch, read_curves, stages_in_words


@pytest.fixture(scope='module')
def resumed(tmp_path_factory):
    """The work dir of a run of 4 epochs: stopped after 3, resumed, then tested."""
    work_dir = tmp_path_factory.mktemp('work dir')
    cfg = tiny_config(work_dir)
    cfg.custom_hooks.append(dict(type='InterruptHook', epoch=3))
    with pytest.raises(KeyboardInterrupt):
        build(cfg).train()
    time.sleep(1.1)  # mmengine names folders by the second
    cfg = tiny_config(work_dir)
    cfg.resume = True
    build(cfg).train()
    return work_dir


def write_log(work_dir, lines, stamp='20260101_000000'):
    path = work_dir / stamp / 'vis_data' / f'{stamp}.json'
    path.parent.mkdir(parents=True)
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text('\n'.join(text))
    return work_dir


def train(epoch, loss, stage=None):
    line = {'lr': 1e-4, 'loss': loss, 'decode.loss_bce': loss, 'epoch': epoch}
    if stage is not None:
        line['aux_in_index'] = stage
    return {**line, 'iter': 10 * epoch, 'step': 10 * epoch}


def val(epoch, dice):
    return {'Dice': dice, 'Dice/lung': dice, 'val_loss_bce': 1 - dice, 'step': epoch}


def test_a_resumed_run_is_one_curve(resumed):
    curves = read_curves(resumed)
    assert curves.unit == 'epoch'
    assert curves.sessions == 2
    assert curves.left_out == 0
    assert curves.switches == [Switch(3, '1', '0')]
    names = ['loss', 'decode.loss_bce', 'aux.loss_bce', 'Dice', 'val_loss_bce']
    assert sorted(curves.series) == sorted(names)
    for points in curves.series.values():
        assert [x for x, _ in points] == [1, 2, 3, 4]
    lines = [
        json.loads(line)
        for path in sorted(resumed.glob('*/vis_data/2*.json'))
        for line in path.read_text().splitlines()
    ]
    dice = [line['Dice'] for line in lines if 'Dice' in line]
    assert [y for _, y in curves.series['Dice']] == dice


def test_later_sessions_replace_what_they_repeat(tmp_path):
    first = [train(1, 4, 1), val(1, 0.1), train(2, 3, 1), val(2, 0.2), train(3, 9, 1)]
    write_log(tmp_path, first)
    write_log(tmp_path, [train(2, 2, 0), val(2, 0.3)], '20260102_000000')
    write_log(tmp_path, [val(0, 0.9)], '20260103_000000')  # a test, no training
    curves = read_curves(tmp_path)
    assert curves.series['loss'] == [(1, 4), (2, 2)]
    assert curves.series['Dice'] == [(1, 0.1), (2, 0.3)]
    assert curves.switches == [Switch(2, '1', '0')]
    assert curves.sessions == 2


def test_losses_of_an_epoch_are_averaged_and_oddities_left_out(tmp_path):
    lines = [train(1, 4), train(1, 2), train(2, float('nan')), '{"loss": 1, "epo', '[]']
    curves = read_curves(write_log(tmp_path, lines))
    assert curves.series['loss'] == [(1, 3)]
    assert curves.left_out == 4  # loss and decode.loss_bce, the cut line, the list
    assert curves.switches == []


def test_runs_that_count_iterations(tmp_path):
    lines = [
        {'loss': 2.0, 'aux_in_index': 1, 'iter': 50, 'step': 50},
        {'loss': 1.0, 'aux_in_index': 0, 'iter': 100, 'step': 100},
        {'Dice': 0.5, 'step': 100},
    ]
    curves = read_curves(write_log(tmp_path, lines))
    assert curves.unit == 'iteration'
    assert curves.series == {'loss': [(50, 2), (100, 1)], 'Dice': [(100, 0.5)]}
    assert curves.switches == [Switch(100, '1', '0')]


@pytest.mark.parametrize('in_index', [0, 3, [1, 0], [0, 1, 2, 3], [2, 0], [1, 2], None])
def test_stages_are_read_as_the_hook_logs_them(in_index):
    assert stages_in_words(as_scalar(in_index)) == in_words(in_index)


def test_phases_of_all_kinds_are_marked(tmp_path):
    stages = [1, 1, 10, -1, 0]
    lines = [train(i, 1, stage) for i, stage in enumerate(stages, start=1)]
    curves = read_curves(write_log(tmp_path, lines))
    moves = [(3, '1', '0+1'), (4, '0+1', 'off'), (5, 'off', '0')]
    assert curves.switches == [Switch(*move) for move in moves]
    (panel,) = draw_panels(curves)
    labels = [label for _, label in panel.marks]
    assert labels == ['stage 1 → 0+1', 'stage 0+1 → off', 'stage off → 0']


def test_a_stage_that_moves_in_each_epoch_is_not_marked(tmp_path):
    lines = [train(i, 1, i % 2) for i in range(1, 9)]
    curves = read_curves(write_log(tmp_path, lines))
    assert len(curves.switches) == 7
    assert draw_panels(curves)[0].marks == []


@pytest.mark.parametrize(
    ('folder', 'message'),
    [('nowhere', 'is not a folder'), ('', 'no training log')],
)
def test_what_is_no_run_is_named(tmp_path, folder, message):
    with pytest.raises(ValueError, match=message):
        read_curves(tmp_path / folder)


def test_panels_place_points_and_the_switch(tmp_path):
    lines = [train(1, 1.0, 1), val(1, 0.2), train(3, 0.0, 0), val(3, 0.6)]
    panels = draw_panels(read_curves(write_log(tmp_path, lines)))
    loss, _, dice = panels
    assert [panel.title for panel in panels] == [
        'Training loss',
        'Validation loss of the main head (BCE)',
        'Validation Dice',
    ]
    assert [line.name for line in loss.lines] == ['all losses']
    (x0, y0), (x1, y1) = loss.lines[0].markers
    assert (x0, y0) == (46, 22)  # epoch 1, the top
    assert (x1, y1) == (408, 192)  # epoch 3, the bottom
    assert loss.marks == [(x0 + 0.75 * (x1 - x0), 'stage 1 → 0')]
    assert dice.summary == (
        'Validation Dice: Dice from 0.200 to 0.600, best 0.600 at epoch 3.'
    )


@pytest.mark.parametrize(
    ('low', 'high', 'count', 'ticks'),
    [
        (0, 1, 4, [0, 0.5, 1]),
        (0.7, 0.8, 4, [0.7, 0.75, 0.8]),
        (1, 28, 6, [0, 5, 10, 15, 20, 25, 30]),
        (0, 0, 4, [-0.5, 0, 0.5]),
        (0.8, 0.8, 4, [0.76, 0.78, 0.8, 0.82, 0.84]),
        (-0.02, 0.011, 4, [-0.02, -0.01, 0, 0.01, 0.02]),
    ],
)
def test_ticks_are_round(low, high, count, ticks):
    assert round_ticks(low, high, count) == pytest.approx(ticks)
