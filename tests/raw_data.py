"""Small data sets as people have them, before they are prepared."""

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from mmseg_ftu.masks import rle
from mmseg_ftu.prepared_table import ORGANS


def disc(shape, place=0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    centre = shape[0] * 0.4 + place, shape[1] * 0.5
    return ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 15**2).astype(np.uint8)


def write_source(folder, count=10, shape=(60, 60), image_shape=None):
    """Write a small competition; ids have leading zeros, which must stay."""
    (folder / 'train_images').mkdir(parents=True)
    generator = np.random.default_rng(0)
    rows = []
    for number in range(count):
        name = f'{number:04d}'
        rgb = generator.integers(0, 256, (*(image_shape or shape), 3), dtype=np.uint8)
        tifffile.imwrite(folder / 'train_images' / f'{name}.tiff', rgb)
        rows.append(
            dict(
                id=name,
                organ=ORGANS[number % 5],
                data_source='HPA',
                img_height=shape[0],
                img_width=shape[1],
                pixel_size=0.4,
                tissue_thickness=4,
                rle=rle.encode(disc(shape, number)),
                age=30 + number,
                sex='Male',
            )
        )
    pd.DataFrame(rows).to_csv(folder / 'train.csv', index=False)
    return folder


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_pairs(folder, count=6, shape=(40, 60), images='images', masks='masks/{}.png'):
    """Write pairs with the labels 0, 1, 2; names have blanks and dots."""
    generator = np.random.default_rng(0)
    for number in range(count):
        name = f'tile {number}.v2'
        rgb = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        save(folder / images / f'{name}.png', rgb)
        labels = np.zeros(shape, np.uint8)
        labels[5 : 15 + number, 10:30] = 1
        labels[25:35, 10:30] = 2
        save(folder / masks.format(name), labels)
    return folder
