"""Write sample tissue as a data set in the competition's layout."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from tqdm import tqdm

from mmseg_ftu.io.atomic_files import remove_leftovers, write_bytes
from mmseg_ftu.io.own_files import is_empty
from mmseg_ftu.sample_tissue.drawing import FIRST_ID, draw_sample

MIN_SIZE = 64  # px; below, units are a few pixels wide
TABLE, IMAGE_FOLDER, MARKER = 'train.csv', 'train_images', 'synthetic.json'


def write_sample_data(
    target: str | Path, images: int = 40, size: int = 768, seed: int = 0
) -> str:
    """Write a sample data set in the competition's layout; shows progress on stderr.

    Files are replaced one at a time and `train.csv` comes last, so that a folder with
    a `train.csv` is complete. Running it again replaces what it wrote before.

    Args:
        target: Folder to write; must be new, empty or written by this function.
        images: Number of pictures, at least 1.
        size: Width and height of a picture, px, at least 64.
        seed: Seed of all pictures, at least 0.

    Returns:
        A summary for people.

    Raises:
        ValueError: A number is out of range, or the folder holds other files.
    """
    for name, value, least in (
        ('images', images, 1),
        ('size', size, MIN_SIZE),
        ('seed', seed, 0),
    ):
        if value < least:
            raise ValueError(f'{name} = {value}: must be at least {least}')
    target = Path(target)
    clear_own_files(target, images)
    settings = {'synthetic': True, 'images': images, 'size': size, 'seed': seed}
    target.mkdir(parents=True, exist_ok=True)
    write_bytes(target / MARKER, json.dumps(settings, indent=2).encode())
    (target / IMAGE_FOLDER).mkdir(exist_ok=True)
    for folder in (target, target / IMAGE_FOLDER):
        remove_leftovers(folder)
    rows = []
    for index in tqdm(range(images), desc='drawing tissue', unit='image'):
        sample = draw_sample(index, size, seed)
        rows.append(sample.row)
        write_bytes(image_path(target, index), tiff_bytes(sample.rgb))
    table = pd.DataFrame(rows).to_csv(index=False)
    write_bytes(target / TABLE, table.encode())
    return f'{target}: {images} synthetic images of {size} x {size} px, seed {seed}'


def clear_own_files(target: Path, images: int) -> None:
    """Remove what an earlier run wrote; refuse a folder that it did not write.

    Args:
        target: The folder.
        images: How many will be written now.

    Raises:
        ValueError: The target is a file, holds files but no readable marker, or
            holds a file in place of a further image.
    """
    if not target.exists() or (target.is_dir() and is_empty(target)):
        return
    try:
        before = int(json.loads((target / MARKER).read_text())['images'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{target}: exists and was not written by make_sample_data '
            f'(no readable {MARKER}); choose a new folder'
        ) from error
    for path in (image_path(target, index) for index in range(before, images)):
        if path.exists():
            raise ValueError(
                f'{path} is in the way and was not written by make_sample_data: move '
                'it away, or choose a new folder'
            )
    (target / TABLE).unlink(missing_ok=True)  # first: its presence means complete
    for index in range(before):
        image_path(target, index).unlink(missing_ok=True)


def image_path(target: Path, index: int) -> Path:
    """Return the path of picture `index` (0-based)."""
    return target / IMAGE_FOLDER / f'{FIRST_ID + index}.tiff'


def tiff_bytes(rgb: np.ndarray) -> bytes:
    """Encode an image as the competition does: RGB TIFF, not compressed."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, rgb, photometric='rgb')
    return buffer.getvalue()
