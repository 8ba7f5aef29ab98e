"""Parameters of which most are tried by ``make test-slow`` only."""

from collections.abc import Iterable

import pytest


def mostly_slow(values: Iterable, quick: Iterable) -> list:
    """Return the values for ``parametrize``, all but the quick ones marked as slow."""
    values, quick = list(values), list(quick)
    unknown = [value for value in quick if value not in values]
    if unknown:
        raise ValueError(f'{unknown} are not among {values}')
    return [
        value if value in quick else pytest.param(value, marks=pytest.mark.slow)
        for value in values
    ]
