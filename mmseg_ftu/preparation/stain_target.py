"""Make the target of stain normalisation: a mosaic of a data set's staining variations.

Sources: the competition's folder, a prepared folder, or any folder of images.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmseg_ftu.io.atomic_files import encode_png, write_bytes
from mmseg_ftu.io.images import find_images, read_image
from mmseg_ftu.io.own_files import (
    is_own_json,
    is_own_picture,
    mark_picture,
    refuse_among,
    require_own,
)
from mmseg_ftu.io.pixel_budget import PixelBudget, pixels_of
from mmseg_ftu.io.resizing import resize_image, target_shape
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.preparation.competition import list_competition
from mmseg_ftu.preparation.number_limits import LARGEST_SIZE, require_between
from mmseg_ftu.preparation.records import PreparationError
from mmseg_ftu.prepared_folder import FolderPaths, PreparedFolder
from mmseg_ftu.stain import (
    METHODS,
    StainFit,
    VahadaneNormalizer,
    choose_images,
    join_tiles,
    typical_tiles,
)
from mmseg_ftu.stain.mosaic import TILE_SIZE, TILES
from mmseg_ftu.stain.target import KINDS

LARGEST_MOSAIC = 4096  # px a side, 50 MB
MOST_TILES = 64  # a side


class TargetImage(NamedTuple):
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
    compatible: bool = False,
) -> str:
    """Write the mosaic (PNG) and the fitted state (JSON) beside it.

    Args:
        source: The competition's folder, a prepared one, or a folder of images.
        target: ``NAME.png`` or ``NAME.json``; both are written.
        method: Method of normalisation, a key of ``METHODS``.
        size: Longer side that images are brought to first, px; None: as they are.
        tiles: Number of tiles a side.
        tile_size: Side of a tile, px; no more than ``size``, and the mosaic at most
            ``LARGEST_MOSAIC`` a side.
        workers: Threads; 0 works in the calling one.
        compatible: Measure strengths over all pixels, glass included, as staintools
            does.

    Returns:
        A summary for people.

    Raises:
        PreparationError: A number is out of range, there is no image, or none with
            two stains.
        ValueError: One of the two files is there and does not belong to a target.
    """
    _check_numbers(size, tiles, tile_size, workers)
    if target.suffix in ('.png', '.json'):  # a name may hold other full stops
        target = target.with_suffix('')
    png, state = (target.with_name(f'{target.name}{end}') for end in ('.png', '.json'))
    require_own(png, is_own_picture)
    require_own(state, is_own_target)
    sources = list_target_images(source)
    refuse_among(png, [image.path for image in sources])
    images = _Images(size)
    fits = dict(unordered_map(images.fit, sources, workers, 'fitting'))
    try:
        chosen = choose_images(
            [fits[s] for s in sources], [s.group for s in sources], tiles**2
        )
    except ValueError as error:
        raise PreparationError(f'{source}: {error}') from error
    times = Counter(sources[i] for i in chosen)
    cut = unordered_map(
        lambda s: images.tiles(s, tile_size, times[s]), [*times], workers, 'cutting'
    )
    of_image = {source: iter(found) for source, found in cut}
    mosaic = join_tiles([next(of_image[sources[i]]) for i in chosen])
    normalizer = METHODS[method](compatible=compatible).fit(mosaic)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(png, mark_picture(encode_png(mosaic)))
    write_bytes(state, (json.dumps(normalizer.state_dict(), indent=2) + '\n').encode())
    used = sorted({sources[i].group for i in chosen})
    failed = sum(not fit.found for fit in fits.values())
    return (
        f'wrote {png} and {state}: {tiles} x {tiles} tiles of {len(set(chosen))} '
        f'images in {len(used)} groups ({", ".join(used)})'
        + (f'; {failed} images have no two stains to take' if failed else '')
    )


def is_own_target(content: bytes) -> bool:
    """Tell whether a file is the fitted state of a target."""
    return any(is_own_json(type=name)(content) for name in KINDS)


def list_target_images(folder: Path) -> list[TargetImage]:
    """List the images of a folder in a fixed order.

    Raises:
        PreparationError: If there are none, or the table of the competition's or a
            prepared folder has faults.
    """
    if (folder / 'train.csv').is_file():
        records, faults = list_competition(folder)
        if faults:
            raise PreparationError('\n'.join(text for _, text in sorted(faults)))
        return [
            TargetImage(r.image, f'{r.details["organ"]} {r.details["data_source"]}')
            for r in records
        ]
    if FolderPaths(folder).table_path.is_file():
        try:
            prepared = PreparedFolder.open(
                folder, needed=('organ', 'data_source'), finished=False
            )
        except ValueError as error:
            raise PreparationError(str(error)) from error
        return [
            TargetImage(
                prepared.image_path(image.id), f'{image.organ} {image.data_source}'
            )
            for image in prepared.images
        ]
    found = find_images(folder) if folder.is_dir() else {}
    sources = [
        TargetImage(path, 'all') for _, paths in sorted(found.items()) for path in paths
    ]
    if not sources:
        raise PreparationError(
            f'{folder}: no train.csv, no folds.csv and no images; name the folder of a '
            'data set'
        )
    return sources


def _check_numbers(size: int | None, tiles: int, tile_size: int, workers: int) -> None:
    """Raise where a number makes no sense, or would fill the memory."""
    if size is not None:
        require_between('--size', size, 1, LARGEST_SIZE, 'px')
    require_between('--tiles', tiles, 1, MOST_TILES)
    require_between('--workers', workers, 0)
    largest = LARGEST_MOSAIC // tiles
    if size is not None:
        largest = min(largest, size)
    if not 1 <= tile_size <= largest:
        raise PreparationError(
            f'--tile-size {tile_size}: give 1 to {largest} px, as images are brought '
            f'to --size {size} and a mosaic of {tiles} x {tiles} tiles (--tiles) may '
            f'be {LARGEST_MOSAIC} px a side'
        )


class _Images:
    """Read images at one size."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.normalizer = VahadaneNormalizer()
        self.budget = PixelBudget()

    def read(self, source: TargetImage) -> np.ndarray:
        with self.budget.hold(pixels_of(source.path)):
            image = read_image(source.path)
            return resize_image(image, target_shape(image.shape[:2], self.size))

    def fit(self, source: TargetImage) -> StainFit:
        return self.normalizer.measure(self.read(source))

    def tiles(self, source: TargetImage, size: int, count: int) -> Sequence[np.ndarray]:
        return typical_tiles(self.read(source), size, range(count))
