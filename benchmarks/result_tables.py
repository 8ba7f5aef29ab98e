"""Read the Markdown tables that the benchmarks print."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

RATIO = re.compile(r'(\d+(?:\.\d+)?) \((\d+(?:\.\d+)?) to (\d+(?:\.\d+)?)\)')


class Ratio(NamedTuple):
    """A ratio of times over the rounds.

    Attributes:
        median: Median of the rounds.
        low: Smallest of the rounds.
        high: Largest of the rounds.
    """

    median: float
    low: float
    high: float


def read_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of all tables of a text, cells by the heads of their columns."""
    heads: list[str] = []
    for line in text.splitlines():
        if not line.startswith('|'):
            heads = []
            continue
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
        if not heads:
            heads = cells
        elif set(line) - set('|-: '):
            yield dict(zip(heads, cells, strict=False))


def read_ratio(cell: str) -> Ratio | None:
    """Return the ratio of a cell such as ``1.31 (1.25 to 1.43)``, if it is one."""
    found = RATIO.fullmatch(cell)
    return Ratio(*map(float, found.groups())) if found else None


def ratios_of(row: Mapping[str, str]) -> dict[str, Ratio]:
    """Return the ratios of a row by the heads of their columns."""
    found = ((head, read_ratio(cell)) for head, cell in row.items())
    return {head: ratio for head, ratio in found if ratio}


def find_ratio(text: str, cells: Mapping[str, str]) -> Ratio:
    """Return the ratio of the first row that has these cells.

    Args:
        text: What a benchmark printed.
        cells: Cells that the row has, by the heads of their columns.

    Raises:
        ValueError: If there is none.
    """
    for row in read_rows(text):
        if cells.items() <= row.items() and (found := ratios_of(row)):
            return next(iter(found.values()))
    raise ValueError(f'no row with {dict(cells)} and a ratio in:\n{text}')
