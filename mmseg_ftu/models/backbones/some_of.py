"""Lists in messages."""

from collections.abc import Iterable


def some_of(names: Iterable[str], limit: int = 6) -> str:
    """List the first names and say how many there are."""
    names = list(names)
    more = f', ... ({len(names)} in all)' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more if names else 'nothing'
