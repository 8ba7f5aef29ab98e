"""What is to be predicted: files, folders, patterns and tables become jobs."""

import csv
import glob
import json
from dataclasses import dataclass
from pathlib import Path

from ..preparation.image_io import FORMAT_OF_SUFFIX
from ..preparation.tables import id_fault, number_fault, read_table
from .reading import SLIDE_SUFFIXES

SUFFIXES = {*FORMAT_OF_SUFFIX, *SLIDE_SUFFIXES}


@dataclass(frozen=True)
class Job:
    """One image to predict.

    Attributes:
        id: Names the outputs.
        path: Of the image.
        organ: E.g. ``kidney``; chooses the threshold.
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
    place = Path(path)
    if (place / 'test.csv').is_file():
        jobs = _competition(place)
    elif (place / 'folds.csv').is_file() and (place / 'manifest.json').is_file():
        jobs = _prepared(place, fold)
    else:
        common = organ or None, data_source or None, pixel_size
        jobs = [Job(p.stem, p, *common) for p in _files(path)]
    if fold is not None and not jobs[0].prepared:
        raise ValueError(f'--fold is for prepared folders, and {path} is none')
    _refuse_repeated(jobs)
    return jobs


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        found = [p for p in sorted(place.iterdir()) if _is_image(p)]
        what = f'no image (*{" *".join(sorted(SUFFIXES))}) in the folder'
    else:
        found = [Path(p) for p in sorted(glob.glob(path, recursive=True))]
        found = [p for p in found if _is_image(p)]
        what = 'no such image or folder, and no image fits it as a pattern'
    if not found:
        raise ValueError(f'{path}: {what}')
    return found


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith('.')
    return path.is_file() and path.suffix.lower() in SUFFIXES and not hidden


def _refuse_repeated(jobs: list[Job]) -> None:
    seen: dict[str, Path] = {}
    for job in jobs:
        if fault := id_fault(job.id):
            raise ValueError(f'{job.path}: {fault}')
        first = seen.setdefault(job.id.casefold(), job.path)
        if first is not job.path:
            raise ValueError(
                f'{first} and {job.path} would both be written as {job.id!r}: predict '
                'them into two folders, or rename one'
            )


def _competition(folder: Path) -> list[Job]:
    """Read ``test.csv``: id, organ, data_source, pixel_size."""
    table = folder / 'test.csv'
    images = folder / 'test_images'
    jobs = []
    for row, values in enumerate(read_table(table).to_dict('records'), start=1):
        missing = {'id', 'organ', 'data_source'} - set(values)
        if missing:
            raise ValueError(f'{table}: columns are missing: {sorted(missing)}')
        if fault := number_fault('pixel_size', values.get('pixel_size', '')):
            raise ValueError(f'{table} row {row}, id {values["id"]}: {fault}')
        size = values.get('pixel_size')
        jobs.append(
            Job(
                values['id'],
                _image_of(images, values['id']),
                values['organ'] or None,
                values['data_source'] or None,
                float(size) if size else None,
            )
        )
    return jobs


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
    except (ValueError, KeyError) as error:
        raise ValueError(f'{manifest}: no manifest ({error}); prepare again') from error
    with (folder / 'folds.csv').open(newline='', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    folds = sorted({row['fold'] for row in rows})
    if fold is not None:
        rows = [row for row in rows if row['fold'] == str(fold)]
    if not rows:
        raise ValueError(f'{folder}: no image of fold {fold}; it has the folds {folds}')
    return [
        Job(
            row['id'],
            folder / 'images' / f'{row["id"]}.png',
            row['organ'] or None,
            row['data_source'] or None,
            float(row['pixel_size']) if row['pixel_size'] else None,
            (int(row['img_height']), int(row['img_width'])),
            settings,
        )
        for row in rows
    ]
