"""The table of a data set: what is known of each image, such as its patient."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmseg_ftu.io.tables import number_fault, read_table
from mmseg_ftu.preparation.records import PreparationError

PLAIN_WORD = re.compile(r'[A-Za-z][A-Za-z0-9_-]*')


@dataclass(frozen=True)
class IndexTable:
    """A table with one row an image, and what holds for images without one.

    Attributes:
        path: The csv file; None for none.
        id_column: Column of the images' names without extension.
        columns: Column of each detail, such as ``{'group': 'patient'}``; details with a
            blank column are left out.
        common: Details of all images; those of the table go before them.
    """

    path: Path | None
    id_column: str = 'id'
    columns: Mapping[str, str] = field(default_factory=dict)
    common: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> dict[str, dict[str, str]]:
        """Return the details of each image on the table, by name.

        Raises:
            PreparationError: If the table is missing or lacks a column, or names
                repeat.
        """
        columns = {name: column for name, column in self.columns.items() if column}
        if self.path is None:
            if columns:
                listed = ', '.join(columns.values())
                raise PreparationError(
                    f'the columns {listed} need a table: pass --index'
                )
            return {}
        try:
            frame = read_table(self.path)
        except FileNotFoundError:
            raise PreparationError(f'{self.path}: no such file; see --index') from None
        except ValueError as error:
            raise PreparationError(str(error)) from None
        missing = {self.id_column, *columns.values()} - set(frame.columns)
        lacks_names = self.id_column in missing
        if missing:
            raise PreparationError(
                f'{self.path} lacks the columns {", ".join(sorted(missing))}; it has '
                + ', '.join(frame.columns)
                + ('; --id-column names the one of the images' * lacks_names)
            )
        names = frame[self.id_column]
        if names.duplicated().any():
            twice = ', '.join(sorted(set(names[names.duplicated()])))
            raise PreparationError(
                f'{self.path} names more than once: {twice}; keep one row'
            )
        return {
            row[self.id_column]: dict(self.common)
            | {name: row[column] for name, column in columns.items()}
            for row in frame.to_dict('records')
        }


def detail_faults(
    details: Mapping[str, str], pixel_size: str = 'pixel_size'
) -> list[str]:
    """Check what becomes keys of metrics and thresholds.

    Args:
        details: ``pixel_size``, ``organ`` and ``data_source`` of an image.
        pixel_size: What messages call the pixel size.
    """
    fault = number_fault(pixel_size, details['pixel_size'])
    texts = [fault] if fault else []
    for name in ('organ', 'data_source'):
        if not PLAIN_WORD.fullmatch(details[name]):
            texts.append(
                f'{name} is {details[name]!r}; give one word of letters, digits, _ '
                'and - that begins with a letter'
            )
    return texts
