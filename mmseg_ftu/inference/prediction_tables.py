"""The tables of a prediction folder, made of its records."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg_ftu.inference.writers import write_submission
from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import digest_of

COLUMNS = (
    *('id', 'path', 'organ', 'data_source', 'patient'),
    *('pixel_size', 'height', 'width'),
    *('threshold', 'foreground', 'objects', 'status', 'reason', 'stain_failure'),
)
PREDICTIONS, SUBMISSION = 'predictions.csv', 'submission.csv'
DIGESTS = 'tables.sha256'  # in the folder of records


def write_tables(
    folder: Path,
    records_folder: Path,
    records: Sequence[dict[str, Any]],
    submission: bool,
) -> None:
    """Write ``predictions.csv``, and ``submission.csv`` where it is wanted.

    Args:
        folder: The prediction folder.
        records_folder: Folder of the records, which keeps the tables' SHA-256.
        records: The records of all images, in the order of the rows.
        submission: Whether to write ``submission.csv``; failed images count as empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(records)
    content = text.getvalue().encode(errors='backslashreplace')  # names are bytes
    write_bytes(folder / PREDICTIONS, content)
    names = [PREDICTIONS]
    if submission:
        rows = [(record['id'], record.get('rle', '')) for record in records]
        write_submission(folder / SUBMISSION, rows)
        names.append(SUBMISSION)
    digests = {name: digest_of(folder / name) for name in names}
    write_bytes(records_folder / DIGESTS, json.dumps(digests).encode())


def changed_tables(folder: Path, records_folder: Path) -> list[str]:
    """Return the tables that somebody has edited since they were written."""
    try:
        digests = dict(json.loads((records_folder / DIGESTS).read_bytes()))
    except (OSError, ValueError, TypeError):  # of an older version, or killed before
        return []
    names = (name for name in (PREDICTIONS, SUBMISSION) if (folder / name).is_file())
    return [n for n in names if digests.get(n) not in (None, digest_of(folder / n))]


def remove_tables(folder: Path, submission: bool) -> None:
    """Remove ``predictions.csv``, and ``submission.csv`` if it is of the folder."""
    for name in (PREDICTIONS, SUBMISSION) if submission else (PREDICTIONS,):
        (folder / name).unlink(missing_ok=True)
