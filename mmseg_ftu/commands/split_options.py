"""Options on splitting units that touch, shared by the tools that measure units."""

from collections.abc import Callable
from typing import Any


def add_split_options(add: Callable[..., Any]) -> None:
    """Add ``--split-touching-um`` and ``--split-touching-px``.

    Args:
        add: Method ``add_argument`` of a parser or a group.
    """
    add(
        '--split-touching-um',
        dest='split_um',
        type=float,
        metavar='UM',
        help='split units that touch where they are narrow: by so much the neck is '
        'narrower than both parts (difference of inscribed radii), um (default: off)',
    )
    add(
        '--split-touching-px',
        dest='split_px',
        type=float,
        metavar='PX',
        help='split units that touch: the same measure in px of the original',
    )
