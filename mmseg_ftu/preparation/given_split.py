"""A split into folds that was made before, instead of one by ``folds``.

A column of the table says the fold of each image, or whether it is of the training or
the validation set. Or a list names the images of the validation set. With two sets,
validation is fold 0 and training is fold 1.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.tables import read_table
from mmseg_ftu.preparation.records import Fault, PreparationError, Record

VALIDATION, TRAINING = '0', '1'
WORDS = dict.fromkeys(('val', 'valid', 'validation'), VALIDATION)
WORDS |= dict.fromkeys(('train', 'training'), TRAINING)


@dataclass(frozen=True)
class GivenSplit:
    """What was said of the split; nothing by default.

    Attributes:
        column: Column of the table with the fold of each image; '' for none.
        val_ids: Ids of the validation set; None for none.

    Raises:
        PreparationError: If both are given.
    """

    column: str = ''
    val_ids: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.column and self.val_ids is not None:
            raise PreparationError('--fold-column and --val-ids: give one of them')

    @classmethod
    def of(cls, fold_column: str = '', val_ids: Sequence[str] = ()) -> Self:
        """Return the split that the options of a command ask for.

        Args:
            fold_column: Column of the table; '' for none.
            val_ids: Ids, or one file: a text with an id a line, or a csv table with the
                column ``id``.

        Raises:
            PreparationError: If both are given, or the file cannot be read.
        """
        if not val_ids:
            return cls(fold_column)
        if len(val_ids) == 1 and Path(val_ids[0]).is_file():
            val_ids = _ids_in(Path(val_ids[0]))
        return cls(fold_column, frozenset(val_ids))

    def __bool__(self) -> bool:
        return bool(self.column) or self.val_ids is not None

    def settings(self, folds: int) -> dict[str, Any]:
        """Return what the manifest keeps: the number of folds, or the split."""
        if self.column:
            return {'folds': None, 'fold_column': self.column}
        if self.val_ids is not None:
            text = '\n'.join(sorted(self.val_ids))
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            return {'folds': None, 'val_ids': f'{len(self.val_ids)} ids, {digest}'}
        return {'folds': folds}

    def fold_of(self, name: str, cell: str) -> str:
        """Return the fold of an image, as text; '' where nothing was given.

        Args:
            name: Id of the image.
            cell: Cell of the column.

        Raises:
            ValueError: If the cell is neither a fold nor a set.
        """
        if self.val_ids is not None:
            return VALIDATION if name in self.val_ids else TRAINING
        if not self.column:
            return ''
        word = cell.strip().lower()
        if word in WORDS:
            return WORDS[word]
        if word.removesuffix('.0').isdecimal():
            return str(int(word.removesuffix('.0')))
        raise ValueError(
            f'{self.column} is {cell!r}; give a fold (0, 1, ...), or train or val, and '
            'leave out the images of a test set'
        )

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return a message if ids of the validation set are not there."""
        if self.val_ids is None or not (unknown := self.val_ids - {*names}):
            return []
        return [
            f'--val-ids: there is no {some_of(sorted(unknown))}; mend the list, whose '
            'ids are names of images without extension'
        ]

    def apply(self, records: list[Record]) -> tuple[list[Record], list[Fault]]:
        """Return records that know their folds, and what is wrong with the split."""
        if not self:
            return records, []
        faults = [Fault(0, text) for text in self.missing(r.id for r in records)]
        known = []
        for record in records:
            try:
                fold = self.fold_of(record.id, record.details.get('fold', ''))
                details = record.details | {'fold': fold}
                known.append(replace(record, details=details))
            except ValueError as error:
                known.append(record)
                faults.append(Fault(record.row, f'{record.place}: {error}'))
        return known, faults


def checked_folds(table: pd.DataFrame) -> pd.Series:
    """Return the folds that were given, as numbers.

    Args:
        table: Columns ``fold`` (text) and ``group``, which is blank for images on their
            own.

    Raises:
        ValueError: If all images are in one fold, or a group is in several.
    """
    folds = table['fold'].astype(int)
    if folds.nunique() < 2:
        raise ValueError(
            f'the split puts all {len(table)} images into fold {folds.iloc[0]}: name '
            'two folds at least'
        )
    torn = folds[table['group'] != ''].groupby(table['group']).nunique()
    if torn.max() > 1:
        names = some_of(map(str, torn.index[torn > 1]), 5)
        raise ValueError(
            f'the split tears groups apart, so that scores would flatter: {names}; put '
            'each group into one fold, or leave out the column of groups'
        )
    return folds


def _ids_in(path: Path) -> list[str]:
    """Read the ids of a file."""
    try:
        if path.suffix.lower() != '.csv':
            lines = path.read_text(encoding='utf-8-sig').splitlines()
            return [line.strip() for line in lines if line.strip()]
        table = read_table(path)
        if 'id' not in table:
            raise ValueError(
                f'{path}: has no column id, only {", ".join(table.columns)}'
            )
        return [str(name) for name in table['id']]
    except ValueError as error:
        raise PreparationError(f'--val-ids: {error}') from error
