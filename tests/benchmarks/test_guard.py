import json
from pathlib import Path

import guard
import pytest
from result_tables import Ratio

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ('committed', 'expected'),
    [
        (Ratio(2.0, 1.9, 2.2), 1.6),  # the width of the range
        (Ratio(2.0, 2.0, 2.0), 1.9),  # 5 % at least
        (Ratio(1.4, 1.3, 1.5), 1.2),  # half of its lead at most
        (Ratio(0.9, 0.85, 0.95), 0.75),  # there is no lead
    ],
)
def test_a_row_may_fall_by_its_own_range(committed, expected):
    assert guard.floor_of(committed) == pytest.approx(expected)


def test_rows_below_their_floor_fall_behind():
    ratio = dict(median=2.0, low=1.9, high=2.2)
    rows = [dict(name='a', ratio=ratio), dict(name='b', ratio=ratio)]
    measured = [Ratio(1.7, 1.5, 1.8), Ratio(1.5, 1.4, 3.0)]
    lines, behind = guard.compare(rows, measured)
    assert behind == ['b']
    assert lines[2:] == [
        '| a | 2.00 (1.90 to 2.20) | 1.70 (1.50 to 1.80) | 1.60 | holds |',
        '| b | 2.00 (1.90 to 2.20) | 1.50 (1.40 to 3.00) | 1.60 | FALLS BEHIND |',
    ]


def test_the_committed_table_is_complete():
    rows = json.loads(guard.TABLE.read_text())
    assert len(rows) == 3
    for row in rows:
        assert (ROOT / row['command'][0]).is_file()
        assert row['cells']
        ratio = Ratio(**row['ratio'])
        assert ratio.low <= ratio.median <= ratio.high
        assert guard.floor_of(ratio) > 1  # not slower than the peer
        assert row['machine']
    assert guard.too_wide(rows, [Ratio(**row['ratio']) for row in rows]) == []


@pytest.fixture
def update(monkeypatch, tmp_path):
    """Return a function that updates a row of a copy of the table."""
    table = tmp_path / 'guard.json'
    table.write_text(guard.TABLE.read_text())
    monkeypatch.setattr(guard, 'TABLE', table)
    monkeypatch.setattr(guard, 'ROOT', tmp_path)
    monkeypatch.setattr(guard, 'describe_machine', lambda: {'processor': 'Fast 9'})

    def run(ratio):
        monkeypatch.setattr(guard, 'measure', lambda row: ratio)
        monkeypatch.setattr('sys.argv', ['guard.py', '--only', '2', '--update'])
        return guard.main(), json.loads(table.read_text())

    return run


def test_an_update_of_one_row_leaves_the_others(update):
    before = json.loads(guard.TABLE.read_text())
    code, rows = update(Ratio(1.5, 1.45, 1.6))
    assert code == 0
    assert rows[1]['ratio'] == dict(median=1.5, low=1.45, high=1.6)
    assert rows[1]['machine'] == {'processor': 'Fast 9'}
    assert [rows[0], rows[2]] == [before[0], before[2]]


def test_a_busy_machine_makes_no_table(update, capsys):
    before = json.loads(guard.TABLE.read_text())
    assert update(Ratio(1.31, 0.85, 1.9)) == (2, before)
    assert 'CoaT-Lite-Small training against timm differ' in capsys.readouterr().err
