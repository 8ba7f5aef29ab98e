import threading
import time

import pytest

from mmseg_ftu.io.threads import ordered_map, unordered_map


def test_results_come_in_order_and_few_wait():
    taken, done = [], []

    def items():
        for i in range(20):
            taken.append(i)
            yield i

    for result in ordered_map(lambda i: i * i, items(), workers=3, ahead=4):
        done.append(result)
        assert len(taken) <= len(done) + 4
    assert done == [i * i for i in range(20)]


def test_what_a_function_raises_is_raised_at_its_turn():
    results = ordered_map(lambda i: 1 / i, [2, 1, 0, 4])
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_who_forgets_the_results_stops_the_work():
    stopped = threading.Event()
    results = ordered_map(
        lambda i: i == 0 or stopped.wait(60), range(4), 2, 3, stopped.set
    )
    assert next(results)
    results.close()  # ends, as the others do now
    assert stopped.is_set()


def test_work_that_comes_to_its_end_is_not_stopped():
    told = []
    assert [*ordered_map(abs, [1, -2], stop=lambda: told.append(1))] == [1, 2]
    assert told == []


@pytest.mark.parametrize('workers', [0, 1, 3])
def test_items_come_with_their_results_and_a_bar(capfd, workers):
    items = [*'abcdef']
    found = dict(unordered_map(str.upper, items, workers, 'writing'))
    assert found == {item: item.upper() for item in items}
    bar = capfd.readouterr().err
    assert 'writing' in bar
    assert '6/6' in bar
    assert list(unordered_map(str.upper, [], workers, 'writing')) == []
    assert capfd.readouterr().err == ''


def test_a_quick_item_is_not_held_up_by_a_slow_one():
    free = threading.Event()

    def wait(name):
        assert name == 'quick' or free.wait(60)

    names = unordered_map(wait, ['slow', 'quick'], 2, 'waiting')
    assert next(names)[0] == 'quick'
    free.set()
    assert next(names)[0] == 'slow'


@pytest.mark.parametrize('workers', [0, 1])
def test_after_an_error_the_rest_is_forgotten(workers):
    begun = []

    def fail(item):
        begun.append(item)
        if item == 0:
            raise ValueError('item 0 is broken')
        time.sleep(0.05)  # else a thread may do all before the error is seen

    with pytest.raises(ValueError, match='item 0'):
        list(unordered_map(fail, range(1000), workers, 'failing'))
    assert len(begun) < 1000
