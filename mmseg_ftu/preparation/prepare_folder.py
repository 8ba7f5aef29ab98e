"""Check all records, then write the prepared folder.

Two passes: the first decodes every image and mask and collects all faults, the second
decodes again and writes. Decoding twice costs seconds (9.4 GB of uncompressed TIFF, the
second time mostly out of the system's cache), and of a source with faults nothing at
all is written.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.io.atomic_files import write_png
from mmseg_ftu.io.images import read_image
from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.resizing import resize_mask, target_shape
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.preparation.checking import add_folds, check_pixels, decoded_pixels
from mmseg_ftu.preparation.folder_summary import LAYOUT
from mmseg_ftu.preparation.folder_writer import FolderWriter
from mmseg_ftu.preparation.number_limits import LARGEST_SIZE, require_between
from mmseg_ftu.preparation.records import (
    Fault,
    Record,
    file_key,
    require_no_faults,
)
from mmseg_ftu.prepared_folder import FolderPaths
from mmseg_ftu.recipe import prepare_image, stain_of


def prepare_folder(
    source: Path,
    folder: Path,
    records: list[Record],
    faults: list[Fault],
    settings: dict[str, Any],
    workers: int,
    overwrite: bool,
    budget: PixelBudget | None = None,
) -> str:
    """Write the prepared folder, or what of it is missing or outdated.

    Args:
        source: Folder of the originals; the prepared folder must lie outside.
        folder: Folder to write: new, empty, or made by an earlier run.
        records: The images.
        faults: Faults found while listing them.
        settings: ``size`` (px or None), ``folds``, ``seed``, ``resized``, ``empty``
            (refuse, keep or skip), ``stain`` (of ``StainStep.to_dict``) and whatever
            else shaped the records; kept in the manifest.
        workers: Threads; 0 works in the calling one.
        overwrite: Accept a folder begun with other settings.
        budget: Bounds what the threads decode at once; None takes the default.

    Returns:
        A summary for people.

    Raises:
        PreparationError: With all faults, before anything is written.
    """
    if settings['size'] is not None:
        require_between('--size', settings['size'], 1, LARGEST_SIZE, 'px')
    require_between('--workers', workers, 0)
    writer = FolderWriter([source], folder, settings, overwrite)
    images = RecordImages(records, faults, settings, workers, budget or PixelBudget())
    return writer.write(images)


class RecordImages:
    """The images of records, as ``FolderWriter`` writes them; see ``prepare_folder``.

    Attributes:
        made_of: Fingerprint of all that an image depends on, by id.
        side_files: Empty: there are no further files.
    """

    def __init__(
        self,
        records: list[Record],
        faults: list[Fault],
        settings: dict[str, Any],
        workers: int,
        budget: PixelBudget,
    ) -> None:
        self.records, self.faults, self.settings = records, faults, settings
        self.workers, self.budget = workers, budget
        self.made_of: Mapping[str, str] = {
            record.id: _fingerprint(record, settings) for record in records
        }
        self.side_files: Mapping[str, bytes] = {}

    def checked_table(self, current: Collection[str]) -> pd.DataFrame:
        """Decode what is not current; return ``folds.csv`` without skipped records.

        Raises:
            PreparationError: With all faults.
        """
        unchecked = [record for record in self.records if record.id not in current]
        found, skipped = check_pixels(
            unchecked, self.settings, self.workers, self.budget
        )
        faults = self.faults + found
        kept = [record for record in self.records if record.id not in skipped]
        try:
            table = add_folds(kept, self.settings)
        except ValueError as error:  # beside other faults it may be their consequence
            faults = faults or [Fault(0, str(error))]
        require_no_faults(faults)
        return table

    def write(
        self, paths: FolderPaths, ids: Collection[str]
    ) -> Iterator[tuple[str, str | None]]:
        """Write images; yield each id and why its stains could not be fitted."""
        todo = [record for record in self.records if record.id in ids]
        write = self.budget.limit(_writer(paths, self.settings), decoded_pixels)
        for record, failure in unordered_map(write, todo, self.workers, 'writing'):
            yield record.id, failure


def _fingerprint(record: Record, settings: dict[str, Any]) -> str:
    """Return a text that changes with anything that the three files depend on."""
    parts = [LAYOUT, record.shape, file_key(record.image), record.mask.key()]
    parts += [settings[name] for name in ('size', 'resized', 'empty')]  # check again
    if settings.get('stain'):
        parts.append(settings['stain'])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _writer(
    paths: FolderPaths, settings: dict[str, Any]
) -> Callable[[Record], str | None]:
    """Return the function that writes the three files of a record.

    It returns why the image could not be stain-normalised, if so.
    """
    stain = stain_of(settings, str(paths.manifest_path))

    def write(record: Record) -> str | None:
        shape = target_shape(record.shape, settings['size'])
        image, mask = read_image(record.image), record.mask.read()
        image, failure = prepare_image(image, shape, stain)
        write_png(paths.image_path(record.id), image)
        write_png(paths.mask_path(record.id), resize_mask(mask, shape))
        write_png(paths.mask_path(record.id, original=True), mask)
        return failure

    return write
