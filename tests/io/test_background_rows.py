import subprocess
import sys
import threading

import pytest

from mmseg_ftu.io.background_rows import BackgroundRows


def test_rows_are_there_when_they_are_waited_for():
    may_go_on = threading.Event()

    def steps():
        yield 3
        may_go_on.wait(60)
        yield 7

    rows = BackgroundRows(steps())
    rows.wait(2)
    rows.wait(3)
    assert not may_go_on.is_set()
    may_go_on.set()
    rows.wait(7)
    rows.stop()


def test_an_error_is_raised_to_those_who_wait():
    """Also for what is there: who works on it would work in vain."""

    def steps():
        yield 3
        raise OSError('the disk is gone')

    rows = BackgroundRows(steps())
    for wanted in (4, 4, 3):
        with pytest.raises(OSError, match='the disk is gone'):
            rows.wait(wanted)


def test_too_few_rows_are_said():
    def steps():
        yield 3

    with pytest.raises(RuntimeError, match='3 rows were made, not 5'):
        BackgroundRows(steps()).wait(5)


def test_a_stop_ends_the_work_and_closes_it():
    made, closed = [], threading.Event()

    def steps():
        try:
            for rows in range(1, 10**9):
                made.append(rows)
                yield rows
        finally:
            closed.set()

    rows = BackgroundRows(steps())
    rows.wait(1)
    rows.stop()
    assert closed.is_set()
    assert len(made) < 10**9
    count = len(made)
    with pytest.raises(RuntimeError, match='rows were made'):
        rows.wait(10**9)
    assert len(made) == count


ENDLESS = """
import time
from mmseg_ftu.io.background_rows import BackgroundRows

def steps():
    try:
        for rows in range(1, 10**9):
            time.sleep(0.01)
            yield rows
    finally:
        print('closed', flush=True)

BackgroundRows(steps()).wait(1)
print('the program ends', flush=True)
"""


def test_a_program_that_ends_stops_it():
    done = subprocess.run(
        [sys.executable, '-c', ENDLESS], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.split('\n') == ['the program ends', 'closed', '']
