"""Lists in messages."""

from mmseg_ftu.io.listing import some_of


def test_the_first_are_listed_and_the_others_counted():
    assert some_of([]) == 'nothing'
    assert some_of(iter('ab'), 2) == 'a, b'
    assert some_of('abcde', 2) == 'a, b and 3 more'
