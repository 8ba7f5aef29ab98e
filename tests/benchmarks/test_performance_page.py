import json

import pytest
from performance_page import NUMBERS, fill
from performance_page import PAGE as COMMITTED

PAGE = """# Page

<!-- bench: machine -->
<!-- end -->
Between.

<!-- bench: one, memory kept -->
| old | table |
<!-- end -->

Below.
"""
BENCH = dict(
    machine={'processor': 'Fast 9'},
    runs=[
        dict(
            name='one, memory kept',
            command=['benchmarks/one.py', '--rounds', '2'],
            environment={'KEEP': '1'},
            status='done',
            output='said\n\n| a |\n|---|\n| b |\n',
        ),
        dict(name='two', command=[], environment={}, status='left out: x', output=''),
    ],
)
EXPECTED = """# Page

<!-- bench: machine -->

| machine | |
|---|---|
| processor | Fast 9 |

<!-- end -->
Between.

<!-- bench: one, memory kept -->

```bash
KEEP=1 python benchmarks/one.py --rounds 2
```

```text
said
```

| a |
|---|
| b |

<!-- end -->

Below.
"""


def test_places_are_filled():
    assert fill(PAGE, BENCH) == EXPECTED


def test_a_filled_page_stays_as_it_is():
    assert fill(EXPECTED, BENCH) == EXPECTED


@pytest.mark.parametrize(
    ('page', 'message'),
    [
        ('# Page\n', 'has no <!-- bench'),
        ('<!-- bench: two -->\n<!-- end -->\n', 'two, and it was not done: left out'),
        ('<!-- bench: no -->\n<!-- end -->\n', 'it was not done: not among the runs'),
    ],
)
def test_what_cannot_be_filled_is_refused(page, message):
    with pytest.raises(ValueError, match=message):
        fill(page, BENCH)


def test_the_committed_page_shows_the_committed_numbers():
    if not NUMBERS.is_file():
        pytest.skip('no run of all benchmarks is committed yet')
    page = COMMITTED.read_text()
    assert fill(page, json.loads(NUMBERS.read_text())) == page


@pytest.mark.parametrize(
    'found',
    [
        dict(machine=[1], runs=[]),
        dict(machine={}, runs=[dict(name='one, memory kept')]),
        dict(machine={}, runs=5),
    ],
)
def test_damaged_numbers_are_refused(found):
    with pytest.raises(ValueError, match=r'not a bench\.json of run\.py'):
        fill(PAGE, found)


def test_a_benchmark_that_printed_nothing_is_refused():
    machine, (run, _) = BENCH['machine'], BENCH['runs']
    with pytest.raises(ValueError, match='one, memory kept, which printed nothing'):
        fill(PAGE, dict(machine=machine, runs=[run | dict(output='\n')]))


def test_numbers_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r'not a bench\.json of run\.py'):
        fill(PAGE, dict(runs=[dict(name='one, memory kept')]))
