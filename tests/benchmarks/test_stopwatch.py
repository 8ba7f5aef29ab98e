import threading
from itertools import count
from types import SimpleNamespace

import pytest
from stopwatch import Stopwatch


def test_a_step_counts_without_the_steps_inside():
    watch = Stopwatch(clock=count().__next__)
    with watch.step('outer'):  # 0 to 5
        with watch.step('inner'):  # 1 to 2
            pass
        with watch.step('inner'):  # 3 to 4
            pass
    assert watch.seconds == {'outer': 3, 'inner': 2}
    assert watch.calls == {'outer': 1, 'inner': 2}


def test_a_step_that_fails_counts():
    watch = Stopwatch(clock=count().__next__)
    with watch.step('outer'), pytest.raises(OSError, match='x'), watch.step('inner'):
        raise OSError('x')
    assert watch.seconds == {'outer': 2, 'inner': 1}


def test_a_step_of_another_thread_is_not_inside():
    watch = Stopwatch(clock=count().__next__)

    def work() -> None:
        with watch.step('thread'):
            pass

    with watch.step('outer'):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert watch.seconds == {'outer': 3, 'thread': 1}


def test_functions_are_watched_as_long_as_the_block_lasts():
    def double(x: int) -> int:
        return 2 * x

    watch, module = Stopwatch(clock=count().__next__), SimpleNamespace(double=double)
    with watch.watching(module, 'double', 'doubling'):
        assert module.double(3) == 6
    assert module.double is double
    assert watch.calls == {'doubling': 1}
