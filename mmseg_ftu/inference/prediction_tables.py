"""The tables of a prediction folder, made of its records."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmseg_ftu.inference.writers import write_submission
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import digest_of
from mmseg_ftu.units.unit_table import join_tables, write_image_rows

COLUMNS = (
    *('id', 'path', 'organ', 'data_source', 'patient'),
    *('pixel_size', 'height', 'width'),
    *('threshold', 'foreground', 'objects', 'status', 'reason', 'stain_failure'),
)
PREDICTIONS, SUBMISSION = 'predictions.csv', 'submission.csv'
UNITS, UNITS_BY_IMAGE = 'units.csv', 'units_by_image.csv'
OF_KIND = {'submission': (SUBMISSION,), 'units': (UNITS, UNITS_BY_IMAGE)}
DIGESTS = 'tables.sha256'  # in the folder of records


def tables_of(kinds: Iterable[str]) -> list[str]:
    """Return the tables of a folder that holds some kinds of files."""
    return [PREDICTIONS, *(name for kind in kinds for name in OF_KIND.get(kind, ()))]


def write_tables(
    folder: Path,
    records_folder: Path,
    records: Sequence[dict[str, Any]],
    kinds: Iterable[str],
) -> None:
    """Write ``predictions.csv``, and the tables of some kinds.

    Args:
        folder: The prediction folder.
        records_folder: Folder of the records, which keeps the tables' SHA-256.
        records: The records of all images, in the order of the rows.
        kinds: Kinds of files; failed images count as empty in a submission, and units
            have none of them.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(records)
    content = text.getvalue().encode(errors='backslashreplace')  # names are bytes
    write_bytes(folder / PREDICTIONS, content)
    names = tables_of(kinds)
    if SUBMISSION in names:
        rows = [(record['id'], record.get('rle', '')) for record in records]
        write_submission(folder / SUBMISSION, rows)
    if UNITS in names:
        _write_units(folder, records)
    digests = {name: digest_of(folder / name) for name in names}
    write_bytes(records_folder / DIGESTS, json.dumps(digests).encode())


def _write_units(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write the units of all images, and one row an image."""
    done = [record for record in records if isinstance(record.get('units'), dict)]
    parts = (folder / 'units' / f'{record["id"]}.csv' for record in done)
    join_tables(folder / UNITS, parts)
    write_image_rows(folder / UNITS_BY_IMAGE, (record['units'] for record in done))


def changed_tables(folder: Path, records_folder: Path) -> list[str]:
    """Return the tables that somebody has edited since they were written."""
    try:
        digests = dict(json.loads((records_folder / DIGESTS).read_bytes()))
    except (OSError, ValueError, TypeError):  # of an older version, or killed before
        return []
    names = [name for name in tables_of(OF_KIND) if (folder / name).is_file()]
    return [n for n in names if digests.get(n) not in (None, digest_of(folder / n))]


def remove_tables(folder: Path, kinds: Iterable[str]) -> None:
    """Remove the tables of a folder that holds some kinds of files."""
    for name in tables_of(kinds):
        (folder / name).unlink(missing_ok=True)
