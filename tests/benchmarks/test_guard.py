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
    rows = json.loads(guard.TABLE.read_text())['rows']
    assert len(rows) == 3
    for row in rows:
        assert (ROOT / row['command'][0]).is_file()
        assert row['cells']
        ratio = Ratio(**row['ratio'])
        assert ratio.low <= ratio.median <= ratio.high
        assert guard.floor_of(ratio) > 1  # not slower than the peer
