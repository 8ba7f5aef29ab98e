"""Lists in messages."""

from collections.abc import Iterable


def some_of(names: Iterable[str], limit: int = 10) -> str:
    """List the first names, and say how many more there are."""
    names = list(names)
    rest = len(names) - limit
    text = ', '.join(names[:limit]) or 'nothing'
    return f'{text} and {rest} more' if rest > 0 else text
