"""The scores that a model card shows."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

SCORES = ('by', 'group', 'images', 'dice_mean', 'dice_low', 'dice_high')


def read_scores(path: Path | None) -> list[dict[str, Any]]:
    """Read the scores of ``evaluation_groups.csv``.

    Raises:
        ValueError: If it is another table.
    """
    if path is None:
        return []
    try:
        table = pd.read_csv(path, dtype={'group': str})
    except (OSError, ValueError) as error:
        raise ValueError(f'--scores {path}: can not be read ({error})') from error
    missing = [column for column in SCORES if column not in table]
    if missing:
        raise ValueError(
            f'--scores {path}: give evaluation_groups.csv of `mmseg-ftu evaluate`; '
            f'this has no {", ".join(missing)}'
        )
    rows = json.loads(table[[*SCORES]].round(4).to_json(orient='records'))
    return check_scores(rows, f'--scores {path}')


def check_scores(rows: Any, place: str) -> list[dict[str, Any]]:
    """Return rows of scores, fit for a card.

    Args:
        rows: The rows, with the columns `SCORES`.
        place: Where they stand, for messages.

    Raises:
        ValueError: If one cannot be a score.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f'{place}: it is not a table of scores')
    for number, row in enumerate(rows, 1):
        for column in SCORES:
            if not _is_score(column, row.get(column)):
                raise ValueError(
                    f'{place}, row {number}: {column} is {row.get(column)!r}; give the '
                    'table that `mmseg-ftu evaluate` wrote'
                )
    return [{column: row[column] for column in SCORES} for row in rows]


def _is_score(column: str, value: Any) -> bool:
    """Tell whether a value can stand in a column of `SCORES`."""
    if column in ('by', 'group'):
        return isinstance(value, str) and value.isprintable() and not {*value} & {*'<>'}
    if column == 'images':
        return type(value) in (int, float) and value >= 0 and value == int(value)
    # no mean of groups where nothing counts, no interval of one image
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)
