import pytest
from ratios import ratio_cell, ratios
from result_tables import Ratio, find_ratio, ratios_of, read_ratio, read_rows

OUTPUT = """torch 2, x86_64 CPU

| model | contestant | s | times slower |
|---|---|---|---|
| MiT | ours | 3 |  |
| MiT | mmseg | 6.24 | 2.11 (2.08 to 2.15) |
said between
| px | rate |
|---|---|
| 256 | 2.41 (2.31 to 2.60) |
"""


def test_rows_of_all_tables_have_the_heads_of_their_own():
    assert list(read_rows(OUTPUT)) == [
        {'model': 'MiT', 'contestant': 'ours', 's': '3', 'times slower': ''},
        {
            'model': 'MiT',
            'contestant': 'mmseg',
            's': '6.24',
            'times slower': '2.11 (2.08 to 2.15)',
        },
        {'px': '256', 'rate': '2.41 (2.31 to 2.60)'},
    ]


@pytest.mark.parametrize(
    ('cell', 'expected'),
    [
        ('2.11 (2.08 to 2.15)', Ratio(2.11, 2.08, 2.15)),
        ('12 (9 to 14.5)', Ratio(12, 9, 14.5)),
        ('3.2', None),
        ('2.11 (2.08)', None),
        ('', None),
    ],
)
def test_ratio_of_a_cell(cell, expected):
    assert read_ratio(cell) == expected


def test_what_a_cell_says_is_read_again():
    cell = ratio_cell(ratios([4, 6, 9], [2, 2, 2]))
    assert cell == '3.00 (2.00 to 4.50)'
    assert ratios_of({'a': cell, 'b': 'ours'}) == {'a': Ratio(3, 2, 4.5)}


def test_ratios_want_as_many_rounds_of_both():
    with pytest.raises(ValueError, match='shorter'):
        ratios([1, 2], [1])


def test_the_row_with_the_cells_is_found():
    assert find_ratio(OUTPUT, {'contestant': 'mmseg'}) == Ratio(2.11, 2.08, 2.15)
    assert find_ratio(OUTPUT, {'px': '256'}).median == 2.41
    for cells in ({'contestant': 'ours'}, {'contestant': 'smp'}):
        with pytest.raises(ValueError, match='no row with'):
            find_ratio(OUTPUT, cells)
