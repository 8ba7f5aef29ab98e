"""Make the target of stain normalisation: a mosaic of a data set's staining variations.

Sources: the competition's folder, a prepared folder, or any folder of images.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg_ftu.stain import (
    METHODS,
    StainFit,
    VahadaneNormalizer,
    choose_images,
    join_tiles,
    typical_tile,
)
from mmseg_ftu.stain.mosaic import TILE_SIZE, TILES

from .atomic_files import write_bytes, write_png
from .checking import each
from .competition import list_records
from .image_io import find_images, read_image
from .pixel_budget import PixelBudget, pixels_of
from .records import PreparationError
from .resizing import resize_image, target_shape


class Source(NamedTuple):
    """An image and the group that it belongs to, such as organ and data source."""

    path: Path
    group: str


def make_stain_target(
    source: Path,
    target: Path,
    method: str = 'vahadane',
    size: int | None = 768,
    tiles: int = TILES,
    tile_size: int = TILE_SIZE,
    workers: int = 2,
) -> str:
    """Write the mosaic (PNG) and the fitted state (JSON) beside it.

    Args:
        source: The competition's folder, a prepared one, or a folder of images.
        target: ``NAME.png`` or ``NAME.json``; both are written.
        method: A key of ``METHODS``.
        size: Longer side that images are brought to first, px; None: as they are.
        tiles: Tiles a side.
        tile_size: Their side, px.
        workers: Threads; 0 works in the calling one.

    Returns:
        A summary for people.

    Raises:
        PreparationError: There is no image, or none with two stains.
    """
    sources = list_sources(source)
    images = _Images(size)
    fits = dict(each(images.fit, sources, workers, 'fitting'))
    try:
        chosen = choose_images(
            [fits[s] for s in sources], [s.group for s in sources], tiles**2
        )
    except ValueError as error:
        raise PreparationError(f'{source}: {error}') from error
    ranks = [chosen[:k].count(index) for k, index in enumerate(chosen)]
    wanted = list(zip(chosen, ranks, strict=True))
    read = dict(
        each(
            lambda s: images.tiles(s, tile_size, max(ranks) + 1),
            [sources[i] for i in sorted(set(chosen))],
            workers,
            'cutting tiles',
        )
    )
    mosaic = join_tiles([read[sources[i]][rank] for i, rank in wanted])
    normalizer = METHODS[method]().fit(mosaic)
    png, state = target.with_suffix('.png'), target.with_suffix('.json')
    target.parent.mkdir(parents=True, exist_ok=True)
    write_png(png, mosaic)
    write_bytes(state, (json.dumps(normalizer.state_dict(), indent=2) + '\n').encode())
    used = sorted({sources[i].group for i in chosen})
    failed = sum(not fit.found for fit in fits.values())
    return (
        f'wrote {png} and {state}: {tiles} x {tiles} tiles of {len(set(chosen))} '
        f'images in {len(used)} groups ({", ".join(used)})'
        + (f'; {failed} images have no two stains to take' if failed else '')
    )


def list_sources(folder: Path) -> list[Source]:
    """List the images of a folder in a fixed order.

    Raises:
        PreparationError: If there are none, or the competition's table has faults.
    """
    if (folder / 'train.csv').is_file():
        records, faults = list_records(folder)
        if faults:
            raise PreparationError('\n'.join(text for _, text in sorted(faults)))
        return [Source(r.image, _group(r.details)) for r in records]
    if (folder / 'folds.csv').is_file():
        with open(folder / 'folds.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        return [
            Source(folder / 'images' / f'{row["id"]}.png', _group(row)) for row in rows
        ]
    found = find_images(folder) if folder.is_dir() else {}
    sources = [
        Source(path, 'all') for _, paths in sorted(found.items()) for path in paths
    ]
    if not sources:
        raise PreparationError(
            f'{folder}: no train.csv, no folds.csv and no images; name the folder of a '
            'data set'
        )
    return sources


def _group(row: dict[str, str]) -> str:
    return f'{row["organ"]} {row["data_source"]}'


class _Images:
    """Read images at one size."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.normalizer = VahadaneNormalizer()
        self.budget = PixelBudget()

    def read(self, source: Source) -> np.ndarray:
        with self.budget.hold(pixels_of(source.path)):
            image = read_image(source.path)
            return resize_image(image, target_shape(image.shape[:2], self.size))

    def fit(self, source: Source) -> StainFit:
        return self.normalizer.measure(self.read(source))

    def tiles(self, source: Source, size: int, count: int) -> Sequence[np.ndarray]:
        image = self.read(source)
        return [typical_tile(image, size, rank) for rank in range(count)]
