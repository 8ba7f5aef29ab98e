"""A table of slides to predict: where each is, and what is known of it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from mmseg_ftu.inference.jobs import LEAST, MOST, SUFFIXES, Job, check_given_size
from mmseg_ftu.io.launched_as import launched_as
from mmseg_ftu.io.tables import id_fault, number_fault, read_table

COLUMNS = ('path', 'pixel_size', 'organ', 'data_source', 'patient')


def read_slide_table(
    path: Path,
    organ: str | None = None,
    data_source: str | None = None,
    pixel_size: float | None = None,
) -> list[Job]:
    """Read a table with one row a slide or image.

    Args:
        path: A csv file with the column ``path`` (relative paths begin at the table's
            folder), and any of ``pixel_size`` (um/px), ``organ``, ``data_source`` and
            ``patient``. Others are not used, and told.
        organ: Organ of slides whose cell is blank.
        data_source: Data source of slides whose cell is blank.
        pixel_size: Pixel size of slides whose cell is blank, um/px.

    Raises:
        ValueError: If the file is not such a table; the message lists all faults of all
            rows.
        OSError: If it cannot be opened.
    """
    check_given_size(pixel_size)
    if not path.is_file():
        raise ValueError(f'--slides {path}: no such file; mend the path')
    frame = read_table(path)
    if 'path' not in frame:
        raise ValueError(
            f'{path}: has no column path, only {", ".join(frame.columns)}; a table of '
            f'slides has the columns {", ".join(COLUMNS)}, separated by commas'
        )
    others = [name for name in frame.columns if name not in COLUMNS]
    if others and launched_as()[0] == 0:
        text = f'note: {path}: columns that are not used: {", ".join(others)}'
        print(text, file=sys.stderr)
    rows = [{str(k): v for k, v in row.items()} for row in frame.to_dict('records')]
    places = [path.parent / row['path'] for row in rows]
    faults = [
        f'{path} row {number}: {text}'
        for number, row in enumerate(rows, start=1)
        for text in _row_faults(row, places, number - 1)
    ]
    if faults:
        count = f'{len(faults)} fault{"s" * (len(faults) > 1)}; nothing was predicted.'
        raise ValueError('\n'.join([*faults, count]))
    return [
        Job(
            place.stem,
            place,
            row.get('organ') or organ or None,
            row.get('data_source') or data_source or None,
            float(row.get('pixel_size') or 0) or pixel_size,
            patient=row.get('patient') or None,
        )
        for row, place in zip(rows, places, strict=True)
    ]


def _row_faults(row: Mapping[str, str], places: list[Path], number: int) -> list[str]:
    """Say what is wrong with a row, the first being number 0."""
    given = row.get('pixel_size', '')
    texts = [_place_fault(row['path'], places, number)]
    texts.append(number_fault('pixel_size', given))
    if not texts[-1] and given and not LEAST <= float(given) <= MOST:
        texts.append(
            f'pixel_size is {given}; give um/px, {LEAST} to {MOST} (of histology)'
        )
    return [text for text in texts if text]


def _place_fault(given: str, places: list[Path], number: int) -> str | None:
    """Say what is wrong with the path of a row."""
    place = places[number]
    if not given:
        return 'its path is blank; name a slide'
    if place.suffix.lower() not in SUFFIXES:
        return f'{given} is not an image or a slide (*{" *".join(sorted(SUFFIXES))})'
    if not place.is_file():
        return f'{place}: no such file; mend the path'
    if fault := id_fault(place.stem):
        return fault
    names = [other.stem.casefold() for other in places]
    first = names.index(place.stem.casefold())
    if first < number:
        return (
            f'{given} and {places[first]} of row {first + 1} would both be written as '
            f'{place.stem!r}: put them into two tables, or rename one'
        )
    return None
