"""The mosaic of all staining variations, to be the target of a normalisation.

The paper normalises to "a mosaic image of all staining variations"; its authors' public
code takes 8 x 8 random tiles of 32 px. Here images are chosen to span the space of the
data's stains, in equal shares for each organ and data source, and of each image the
most typical tile: the same data give the same mosaic.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from mmseg_ftu.stain.histogram import ColourHistogram
from mmseg_ftu.stain.optical_density import optical_density, tissue_mask
from mmseg_ftu.stain.percentile import weighted_percentile
from mmseg_ftu.stain.rgb import check_rgb, row_blocks
from mmseg_ftu.stain.stain_fit import StainFit

TILES = 8  # a side
TILE_SIZE = 32  # px
BLOCK = 1 << 18  # px whose densities are computed at once


def choose_images(
    fits: Sequence[StainFit], groups: Sequence[str], count: int = TILES**2
) -> list[int]:
    """Choose images that span the stains of each group.

    Groups take turns. In each the first image is the one nearest to the group's median,
    every further one the one farthest from those chosen before (in units of the data's
    spread). Where a group has been used up it starts again.

    Args:
        fits: Fit of each image; images that could not be fitted are not chosen.
        groups: Group of each image, such as organ and data source.
        count: Number of images to choose.

    Returns:
        ``count`` indices, with repetitions where there are fewer images.

    Raises:
        ValueError: No image could be fitted.
    """
    usable = [i for i, fit in enumerate(fits) if fit.found]
    if not usable:
        reasons = sorted({fit.reason or '' for fit in fits})
        raise ValueError(
            f'none of {len(fits)} images has stains to take ({"; ".join(reasons)})'
        )
    points = np.array(
        [np.concatenate([part.ravel() for part in fits[i].values]) for i in usable]
    )
    points = (points - np.median(points, axis=0)) / (points.std(axis=0) + 1e-9)
    orders = []
    for name in sorted({groups[i] for i in usable}):
        members = [k for k, i in enumerate(usable) if groups[i] == name]
        orders.append([usable[members[k]] for k in _spread(points[members])])
    return [
        orders[k % len(orders)][k // len(orders) % len(orders[k % len(orders)])]
        for k in range(count)
    ]


def _spread(points: np.ndarray) -> list[int]:
    """Order points, each as far as possible from all before it."""
    from_median = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    order = [int(from_median.argmin())]
    distance = np.linalg.norm(points - points[order[0]], axis=1)
    while len(order) < len(points):
        distance[order] = -1
        order.append(int(distance.argmax()))
        farther = np.linalg.norm(points - points[order[-1]], axis=1)
        distance = np.minimum(distance, farther)
    return order


def typical_tile(image: np.ndarray, size: int = TILE_SIZE, rank: int = 0) -> np.ndarray:
    """Return the most typical tile of a grid: full of tissue of the usual density.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        size: Side of the tile, px. The tiles of an image that is shorter are as large
            as it allows, and are enlarged.
        rank: 0 for the best, 1 for the next, ...: an image that is used again gives
            another tile.

    Returns:
        ``(size, size, 3)`` uint8.
    """
    return typical_tiles(image, size, [rank])[0]


def typical_tiles(
    image: np.ndarray, size: int, ranks: Sequence[int]
) -> list[np.ndarray]:
    """Return several `typical_tile` of an image, one for each rank."""
    check_rgb(image)
    side = min(size, *image.shape[:2])
    score = _typicality(image, side)
    order = np.argsort(-score, axis=None, kind='stable')
    tiles = []
    for rank in ranks:
        row, column = np.unravel_index(order[rank % len(order)], score.shape)
        top, left = row * side, column * side
        tile = image[top : top + side, left : left + side].copy()
        tiles.append(tile if side == size else cv2.resize(tile, (size, size)))
    return tiles


def _typicality(image: np.ndarray, size: int) -> np.ndarray:
    """Score the tiles of a grid: share of tissue, less how unusual its density is.

    Neither glass nor a dark fold is typical. The densest tiles would be chosen by
    their tissue alone, and the target be darker than any image.
    """
    rows, columns = (side // size for side in image.shape[:2])
    cut = image[: rows * size, : columns * size]
    share, mean = np.zeros((rows, columns)), np.zeros((rows, columns))
    for row in range(rows):
        line = cut[row * size : (row + 1) * size]
        for part in row_blocks(line, BLOCK):
            pixels = line[part]
            grid = len(pixels), columns, size
            share[row] += tissue_mask(pixels).reshape(grid).sum(axis=(0, 2))
            mean[row] += optical_density(pixels).sum(axis=2).reshape(grid).sum((0, 2))
    share, mean = share / size**2, mean / (3 * size**2)
    cells = ColourHistogram.of(cut).cells()
    tissue = cells.tissue() * cells.counts
    used = np.flatnonzero(tissue)
    if not len(used):
        return share
    density = cells.take(used, tissue[used]).densities().mean(axis=0)
    usual = weighted_percentile(density, tissue[used], 50)
    return share - np.abs(mean - usual) / usual


def join_tiles(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Lay a square number of tiles ``(s, s, 3)`` out, row by row."""
    side = round(len(tiles) ** 0.5)
    if side * side != len(tiles):
        raise ValueError(f'{len(tiles)} tiles make no square')
    rows = [np.hstack(tiles[i * side : (i + 1) * side]) for i in range(side)]
    return np.vstack(rows)
