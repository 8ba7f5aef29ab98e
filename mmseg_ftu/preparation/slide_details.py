"""What is known of slides: organ, data source, pixel size, and the group of each."""

import re
from collections.abc import Callable
from pathlib import Path

from mmseg_ftu.io.tables import read_table
from mmseg_ftu.preparation.index_table import IndexTable
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.preparation.slide_options import SlideOptions

Details = dict[str, str]
GroupOf = Callable[[str, Details], str]


def read_details(options: SlideOptions) -> tuple[dict[str, Details], GroupOf]:
    """Return the details of slides on the table, and what tells their groups.

    The latter takes a slide's name and details, and raises ValueError where the name
    does not tell the group. A slide without one is a group of its own.

    Raises:
        PreparationError: If the table lacks a column, or ``group`` is neither a column
            nor a pattern.
    """
    columns = {
        'organ': options.organ_column,
        'pixel_size': options.pixel_size_column,
        'fold': options.fold_column,
    }
    group_of: GroupOf = _group_is_slide
    there = _columns_of(options.index)
    if options.group in there:
        columns['group'] = options.group
        group_of = _group_of_column
    elif options.group:
        group_of = _group_of_pattern(options, there)
    common = common_details(options)
    table = IndexTable(options.index, options.id_column, columns, common)
    return table.read(), group_of


def common_details(options: SlideOptions) -> Details:
    """Return what holds for all slides."""
    return {
        'organ': options.organ,
        'data_source': options.data_source,
        'pixel_size': options.slide_pixel_size,
        'group': '',
        'fold': '',
    }


def _columns_of(index: Path | None) -> list[str]:
    """Return the columns of the table.

    Raises:
        PreparationError: If it cannot be read.
    """
    try:
        return [] if index is None else [*read_table(index).columns]
    except FileNotFoundError:
        raise PreparationError(f'{index}: no such file; see --index') from None
    except ValueError as error:
        raise PreparationError(str(error)) from None


def _group_is_slide(name: str, details: Details) -> str:
    return name


def _group_of_column(name: str, details: Details) -> str:
    return details['group'] or name


def _group_of_pattern(options: SlideOptions, columns: list[str]) -> GroupOf:
    """Return a function that finds the group in a slide's name.

    Raises:
        PreparationError: If the pattern is none, or has no brackets.
    """
    try:
        pattern = re.compile(options.group)
        if not pattern.groups:
            raise ValueError('nothing in it is in brackets')
    except (re.error, ValueError) as error:
        there = f' {options.index} has {", ".join(columns)};' if columns else ''
        raise PreparationError(
            f'--group {options.group!r}: give a column of --index,{there} or a pattern '
            "of names with the group in brackets, such as '(P[0-9]+)_.*' "
            f'({error})'
        ) from None

    def group_of(name: str, details: Details) -> str:
        found = pattern.match(name)
        if not found or not found.group(1):
            raise ValueError(
                f'its name does not fit --group {options.group!r}; mend the pattern'
            )
        return found.group(1)

    return group_of
