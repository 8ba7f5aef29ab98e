"""The data of a study: a name for all that its runs read, and whose images they are."""

import hashlib
import json

import numpy as np
import pandas as pd

from mmseg_ftu.io.images import read_image, read_mask
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.io.tables import read_by_id
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.prepared_folder import PreparedFolder

THREADS = 2  # that read images


def data_id(folder: PreparedFolder) -> str:
    """Name the pixels of a prepared folder, its patients, folds and preparation.

    All images and masks are read, so that a mask which was corrected gives another
    name. How the files are compressed does not count, nor where the folder lies.

    Returns:
        12 hexadecimal digits.

    Raises:
        ValueError: If a file is missing or cannot be read.
    """
    for original in (False, True):
        folder.require_files(folder.images, original)
    names = sorted(image.id for image in folder.images)
    read = unordered_map(
        lambda name: pixels_id(folder, name), names, THREADS, 'reading the data'
    )
    text = json.dumps(
        [
            folder.folds_id,
            sorted(image.key for image in folder.images),
            sorted(patients_of(folder).items()),
            [folder.size, folder.settings.get('stain')],
            sorted(read),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def pixels_id(folder: PreparedFolder, name: str) -> str:
    """Return a digest of the pixels of an image and of both its masks."""
    digest = hashlib.sha256()
    masks = (folder.mask_path(name, original) for original in (False, True))
    for pixels in (
        read_image(folder.image_path(name)),
        *(read_mask(path, (1,), IGNORE_LABEL) for path in masks),
    ):
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def patients_of(folder: PreparedFolder) -> dict[str, str]:
    """Return the group of each image, by id; an image without one is its own."""
    table = read_by_id(folder.table_path)
    groups = table['group'] if 'group' in table else pd.Series('', table.index)
    return {str(name): group or f'image-{name}' for name, group in groups.items()}
