"""Tables that come with a data set: reading them and checking their cells."""

import io
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

LONGEST_ID = 200  # bytes; file systems allow 255 for the name with all additions
# What other tables call the columns: folds.csv, train.csv, dice_per_image.csv.
NAMES = {'img_id': 'id', 'img_height': 'height', 'img_width': 'width'}
FORBIDDEN_IN_IDS = '/\\:*?"<>|'  # separators, and what Windows does not allow


def read_table(path: Path, content: bytes | None = None) -> pd.DataFrame:
    """Read a csv file as stripped text; blank cells are ``''``.

    Args:
        path: The file; messages name it.
        content: The bytes of the file where it has been read already.

    Raises:
        ValueError: If the file is not a table or has no rows.
        OSError: If it cannot be opened.
    """
    try:
        frame = pd.read_csv(
            path if content is None else io.BytesIO(content),
            dtype=str,
            keep_default_na=False,
            encoding='utf-8-sig',
        )
    except UnicodeDecodeError:
        raise ValueError(
            f'{path}: is not a readable csv table, as it is not in UTF-8; save it so'
        ) from None
    except pd.errors.EmptyDataError:
        raise ValueError(
            f'{path}: is not a readable csv table, as it is empty'
        ) from None
    except ValueError as error:  # so are pandas' parser errors, and Unicode's
        raise ValueError(f'{path}: is not a readable csv table ({error})') from None
    first = str(frame.columns[0])
    for mark, name in ((';', 'semicolons'), ('\t', 'tabs')):
        if mark in first:
            raise ValueError(
                f'{path}: its columns are separated by {name}; save it with commas'
            )
    if frame.empty:
        raise ValueError(f'{path} has no rows')
    frame.columns = frame.columns.str.strip()
    stripped: pd.DataFrame = frame.fillna('').apply(lambda column: column.str.strip())
    return stripped


def read_by_id(path: Path) -> pd.DataFrame:
    """Read a csv file as `read_table` does, with the ids as index.

    Raises:
        ValueError: If the file is not a table, has no rows or no ids, or repeats an id.
        OSError: If it cannot be opened.
    """
    table = read_table(path).rename(columns=NAMES)
    if 'id' not in table:
        raise ValueError(f'{path}: has no column id, only {", ".join(table.columns)}')
    if repeated := repeated_ids(table['id']):
        raise ValueError(f'{path}: ids occur twice: {", ".join(sorted(repeated)[:5])}')
    return table.set_index('id')


def id_fault(name: str) -> str | None:
    """Say why an id cannot name a file, or return None."""
    if not name.strip():
        return 'the id is empty'
    if name != name.strip() or name.startswith('.') or name.endswith('.'):
        return f'the id {name!r} begins or ends with a blank or a full stop; rename it'
    for char in name:
        if char in FORBIDDEN_IN_IDS or not char.isprintable():
            return (
                f'the id {name!r} is not a plain file name, as it has the character '
                f'{char!r}; rename it'
            )
    if len(name.encode()) > LONGEST_ID:
        return f'the id {name!r} is longer than {LONGEST_ID} bytes; shorten it'
    return None


def repeated_ids(names: Iterable[str]) -> set[str]:
    """Return ids that occur twice or differ by case only, as some disks ignore case."""
    ids = pd.Series(list(names), dtype=object)
    return set(ids[ids.str.casefold().duplicated(keep=False)])


def number_fault(name: str, text: str, zero: bool = False) -> str | None:
    """Say why a cell is neither blank nor a positive number, or return None.

    Args:
        name: Column, for the message.
        text: Cell.
        zero: Accept 0 too.
    """
    try:
        if not text or 0 < float(text) < math.inf or (zero and float(text) == 0):
            return None
    except ValueError:
        pass
    return f'{name} is {text!r}; give a positive number or leave it blank'


def whole_number(text: str) -> int:
    """Return a whole number, also where pandas has written it as ``3000.0``.

    Raises:
        ValueError: If it is not one.
    """
    number = float(text)
    if not number.is_integer():
        raise ValueError(f'{text!r} is not a whole number')
    return int(number)
