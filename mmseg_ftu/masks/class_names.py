"""Which classes of annotations are meant by the names that people give.

QuPath calls a class that is derived from another ``parent: child``. A name means that
class and those derived from it; ``*``, ``?`` and ``[...]`` stand for other characters,
as in a shell. Large and small letters differ, as in QuPath.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

UNCLASSIFIED = 'Unclassified'  # what QuPath calls an object without a class


def is_meant(class_name: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of some names means a class.

    Args:
        class_name: Class of an annotation; ``''`` for none.
        patterns: Names or patterns; ``'Unclassified'`` means no class.
    """
    shown = tidy(class_name) or UNCLASSIFIED
    parts = shown.split(': ')
    ancestors = [': '.join(parts[:n]) for n in range(1, len(parts) + 1)]
    return any(
        tidy(pattern) in ancestors or fnmatchcase(shown, tidy(pattern))
        for pattern in patterns
    )


def tidy(class_name: str) -> str:
    """Return a name with one blank behind each colon, as QuPath writes it."""
    return ': '.join(part.strip() for part in class_name.split(':'))


def unmatched(patterns: Iterable[str], class_names: Iterable[str]) -> list[str]:
    """Return the patterns that mean none of some classes."""
    names = list(class_names)
    return [p for p in patterns if not any(is_meant(name, [p]) for name in names)]


def list_classes(counts: Mapping[str, int]) -> str:
    """Return classes with their numbers of objects, for messages."""
    texts = [f'{name or UNCLASSIFIED} ({count})' for name, count in counts.items()]
    return ', '.join(texts) or 'none'
