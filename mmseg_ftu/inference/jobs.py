"""What is to be predicted: files, folders, patterns and tables become jobs."""

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_ftu.io.image_files import take_images
from mmseg_ftu.io.images import FORMAT_OF_SUFFIX
from mmseg_ftu.io.sources import SLIDE_SUFFIXES
from mmseg_ftu.prepared_folder import FolderPaths, PreparedFolder
from mmseg_ftu.prepared_table import DATA_SOURCES, ORGANS, PreparedImage, read_images

SUFFIXES = {*FORMAT_OF_SUFFIX, *SLIDE_SUFFIXES}
SPELLING = {name.lower(): name for name in (*ORGANS, *DATA_SOURCES)}
LEAST, MOST = 0.01, 100.0  # um/px; light resolves no less, nor a section more


@dataclass(frozen=True)
class Job:
    """One image to predict.

    Attributes:
        id: Id of the image, which names the outputs.
        path: Path of the image.
        organ: Organ, e.g. ``kidney``; chooses the threshold, and the pixel size that
            tiles are brought to.
        data_source: Data source, e.g. ``HPA``; chooses the threshold.
        pixel_size: Pixel size of the original image, um/px; None asks the file.
        original_shape: Height and width to bring the mask to, px, where the file is a
            resized copy; None for the file's own.
        prepared: Settings of the prepared folder that the image lies in; None for an
            image as it came.
        patient: Patient, for the table of results; changes no other result.
    """

    id: str
    path: Path
    organ: str | None = None
    data_source: str | None = None
    pixel_size: float | None = None
    original_shape: tuple[int, int] | None = None
    prepared: dict[str, Any] | None = None
    patient: str | None = None

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
        organ: Organ of images without a table.
        data_source: Data source of images without a table.
        pixel_size: Pixel size of images without a table, um/px.
        fold: Held-out fold of a prepared folder; None takes all images.

    Raises:
        ValueError: If nothing is found, an id occurs twice, or a table is faulty.
    """
    check_given_size(pixel_size)
    place = Path(path)
    if (place / 'test.csv').is_file():
        jobs = _competition(place)
    elif FolderPaths(place).is_finished:
        jobs = _prepared(place, fold)
    else:
        common = organ or None, data_source or None, pixel_size
        jobs = [Job(p.stem, p, *common) for p in _files(path)]
    if fold is not None and jobs[0].prepared is None:
        raise ValueError(f'--fold is for prepared folders, and {path} is none')
    _refuse_repeated(jobs)
    return jobs


def check_given_size(pixel_size: float | None) -> None:
    """Raise ValueError if a pixel size that was given cannot be one of histology."""
    if pixel_size is not None and not LEAST <= pixel_size <= MOST:
        raise ValueError(
            f'pixel_size={pixel_size}: give um/px, {LEAST} to {MOST} (of histology)'
        )


def _files(path: str) -> list[Path]:
    place = Path(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        found = take_images(sorted(place.iterdir()), SUFFIXES, place)
        what = f'no image (*{" *".join(sorted(SUFFIXES))}) in the folder'
        if (place / 'train.csv').is_file():
            what += '; a folder of the competition needs test.csv and test_images'
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
    needed = ('id', 'organ', 'data_source')
    return [
        _job(image, _image_of(images, image.id))
        for image in read_images(folder / 'test.csv', needed)
    ]


def _image_of(folder: Path, name: str) -> Path:
    """Return the file of an id; a missing one is reported when its turn comes."""
    for suffix in ('.tiff', '.tif', '.png', '.jpg'):
        if (folder / f'{name}{suffix}').is_file():
            return folder / f'{name}{suffix}'
    return folder / f'{name}.tiff'


def _prepared(path: Path, fold: int | None) -> list[Job]:
    folder = PreparedFolder.open(path)
    images = folder.images if fold is None else folder.in_fold(fold)
    settings = folder.settings
    return [_job(image, folder.image_path(image.id), settings) for image in images]


def _job(
    image: PreparedImage, path: Path, prepared: dict[str, Any] | None = None
) -> Job:
    return Job(
        image.id,
        path,
        image.organ or None,
        image.data_source or None,
        image.pixel_size,
        image.shape,
        prepared,
    )
