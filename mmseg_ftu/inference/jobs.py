"""What is to be predicted: files, folders, patterns and tables become jobs."""

import glob
import json
from dataclasses import dataclass
from pathlib import Path

from mmseg_ftu.io.image_files import take_images
from mmseg_ftu.io.images import FORMAT_OF_SUFFIX
from mmseg_ftu.io.sources import SLIDE_SUFFIXES
from mmseg_ftu.io.tables import (
    id_fault,
    number_fault,
    read_table,
    whole_number,
)
from mmseg_ftu.preparation.competition import DATA_SOURCES, ORGANS

SUFFIXES = {*FORMAT_OF_SUFFIX, *SLIDE_SUFFIXES}
SPELLING = {name.lower(): name for name in (*ORGANS, *DATA_SOURCES)}
LEAST, MOST = 0.01, 100.0  # um/px; light resolves no less, nor a section more
TABLE_COLUMNS = ('id', 'organ', 'data_source', 'pixel_size')
SHAPE_COLUMNS = ('img_height', 'img_width')


@dataclass(frozen=True)
class Job:
    """One image to predict.

    Attributes:
        id: Names the outputs.
        path: Of the image.
        organ: E.g. ``kidney``; chooses the threshold, and the pixel size that tiles are
            brought to.
        data_source: E.g. ``HPA``; chooses the threshold.
        pixel_size: Of the original image, um/px; None asks the file.
        original_shape: Height and width to bring the mask to, px, where the file is a
            resized copy; None for the file's own.
        prepared: Settings of the prepared folder that the image lies in; None for an
            image as it came.
    """

    id: str
    path: Path
    organ: str | None = None
    data_source: str | None = None
    pixel_size: float | None = None
    original_shape: tuple[int, int] | None = None
    prepared: dict | None = None

    def __post_init__(self) -> None:
        for name in ('organ', 'data_source'):  # as tables of thresholds spell them
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, SPELLING.get(given.lower(), given))


def list_jobs(
    path: str,
    organ: str | None = None,
    data_source: str | None = None,
    pixel_size: float | None = None,
    fold: int | None = None,
) -> list[Job]:
    """List the images behind a path.

    Args:
        path: An image or a slide; a folder of them; a pattern such as ``a/*.tiff``; the
            competition's folder with ``test.csv`` and ``test_images``; or a prepared
            folder.
        organ: Of images without a table.
        data_source: Of images without a table.
        pixel_size: Of images without a table, um/px.
        fold: Of a prepared folder, the held-out fold; None for all images.

    Raises:
        ValueError: If nothing is found, an id occurs twice, or a table is faulty.
    """
    if pixel_size is not None and not LEAST <= pixel_size <= MOST:
        raise ValueError(
            f'pixel_size={pixel_size}: give um/px, {LEAST} to {MOST} (of histology)'
        )
    place = Path(path)
    if (place / 'test.csv').is_file():
        jobs = _competition(place)
    elif (place / 'folds.csv').is_file() and (place / 'manifest.json').is_file():
        jobs = _prepared(place, fold)
    else:
        common = organ or None, data_source or None, pixel_size
        jobs = [Job(p.stem, p, *common) for p in _files(path)]
    if fold is not None and jobs[0].prepared is None:
        raise ValueError(f'--fold is for prepared folders, and {path} is none')
    _refuse_repeated(jobs)
    return jobs


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        found = take_images(sorted(place.iterdir()), SUFFIXES, place)
        what = f'no image (*{" *".join(sorted(SUFFIXES))}) in the folder'
    else:
        matched = [Path(p) for p in sorted(glob.glob(path, recursive=True))]
        matched = [p for p in matched if not _is_result(p)]
        found = take_images(matched, SUFFIXES, path)
        what = 'no such image or folder, and no image fits it as a pattern'
    if not found:
        raise ValueError(f'{path}: {what}')
    return found


def _is_result(path: Path) -> bool:
    """Tell whether a path lies in a folder of predictions."""
    return any((folder / 'prediction.json').is_file() for folder in path.parents)


def _refuse_repeated(jobs: list[Job]) -> None:
    seen: dict[str, Path] = {}
    for job in jobs:
        first = seen.setdefault(job.id.casefold(), job.path)
        if first is not job.path:
            raise ValueError(
                f'{first} and {job.path} would both be written as {job.id!r}: predict '
                'them into two folders, or rename one'
            )


def _competition(folder: Path) -> list[Job]:
    """Read ``test.csv``: id, organ, data_source; pixel_size, img_height, img_width."""
    images = folder / 'test_images'
    required = {'id', 'organ', 'data_source'}
    return [
        _job(place, row, _image_of(images, row['id']))
        for place, row in _rows(folder / 'test.csv', required)
    ]


def _image_of(folder: Path, name: str) -> Path:
    """Return the file of an id; a missing one is reported when its turn comes."""
    for suffix in ('.tiff', '.tif', '.png', '.jpg'):
        if (folder / f'{name}{suffix}').is_file():
            return folder / f'{name}{suffix}'
    return folder / f'{name}.tiff'


def _prepared(folder: Path, fold: int | None) -> list[Job]:
    manifest = folder / 'manifest.json'
    try:
        settings = json.loads(manifest.read_text(encoding='utf-8'))['settings']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{manifest}: no manifest ({error}); prepare again') from error
    rows = _rows(folder / 'folds.csv', {*TABLE_COLUMNS, *SHAPE_COLUMNS, 'fold'})
    if fold is not None:
        folds = sorted({row['fold'] for _, row in rows})
        rows = [(place, row) for place, row in rows if row['fold'] == str(fold)]
        if not rows:
            raise ValueError(
                f'{folder}: no image of fold {fold}; it has the folds '
                f'{", ".join(folds)}'
            )
    return [
        _job(place, row, folder / 'images' / f'{row["id"]}.png', settings)
        for place, row in rows
    ]


def _rows(table: Path, required: set[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a table, each behind the place that messages name."""
    frame = read_table(table)
    if missing := sorted(required - set(frame.columns)):
        raise ValueError(f'{table}: columns are missing: {", ".join(missing)}')
    rows = frame.to_dict('records')
    return [(f'{table} row {i}, id {row["id"]}', row) for i, row in enumerate(rows, 1)]


def _job(
    place: str, row: dict[str, str], path: Path, prepared: dict | None = None
) -> Job:
    if fault := id_fault(row['id']):
        raise ValueError(f'{place}: {fault}')
    pixel_size = row.get('pixel_size', '')
    if fault := number_fault('pixel_size', pixel_size):
        raise ValueError(f'{place}: {fault}')
    return Job(
        row['id'],
        path,
        row['organ'] or None,
        row['data_source'] or None,
        float(pixel_size) if pixel_size else None,
        _shape(place, [row.get(name, '') for name in SHAPE_COLUMNS]),
        prepared,
    )


def _shape(place: str, texts: list[str]) -> tuple[int, int] | None:
    """Return height and width on record; files may be resized copies."""
    if not any(texts):
        return None
    try:
        height, width = (whole_number(text) for text in texts)
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(
            f'{place}: img_height x img_width is {" x ".join(texts)}; give whole '
            'pixels or leave them blank'
        )
    return height, width
