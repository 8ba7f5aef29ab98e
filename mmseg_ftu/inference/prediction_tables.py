"""The tables of a prediction folder, made of its records."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg_ftu.inference.writers import write_submission
from mmseg_ftu.io.atomic_files import write_bytes

COLUMNS = (
    *('id', 'path', 'organ', 'data_source', 'pixel_size', 'height', 'width'),
    *('threshold', 'foreground', 'objects', 'status', 'reason', 'stain_failure'),
)
PREDICTIONS, SUBMISSION = 'predictions.csv', 'submission.csv'


def write_tables(
    folder: Path, records: Sequence[dict[str, Any]], submission: bool
) -> None:
    """Write ``predictions.csv``, and ``submission.csv`` where it is wanted.

    Args:
        folder: The prediction folder.
        records: Of all images, in the order of the rows.
        submission: Whether to write that too; images that failed count as empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(records)
    content = text.getvalue().encode(errors='backslashreplace')  # names are bytes
    write_bytes(folder / PREDICTIONS, content)
    if submission:
        rows = [(record['id'], record.get('rle', '')) for record in records]
        write_submission(folder / SUBMISSION, rows)
