"""The mosaic of all staining variations, to be the target of a normalisation.

The paper normalises to "a mosaic image of all staining variations"; its authors' public
code takes 8 x 8 random tiles of 32 px. Here images are chosen to span the space of the
data's stains, in equal shares for each organ and data source, and of each image the
most typical tile: the same data give the same mosaic.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .optical_density import optical_density, tissue_mask
from .rgb import check_rgb
from .stain_fit import StainFit

TILES = 8  # a side
TILE_SIZE = 32  # px


def choose_images(
    fits: Sequence[StainFit], groups: Sequence[str], count: int = TILES**2
) -> list[int]:
    """Choose images that span the stains of each group.

    Groups take turns. In each the first image is the one nearest to the group's median,
    every further one the one farthest from those chosen before (in units of the data's
    spread). Where a group has been used up it starts again.

    Args:
        fits: Of each image; those that couldn't be fitted aren't chosen.
        groups: Of each image, such as organ and data source.
        count: How many to choose.

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
        [np.concatenate([fits[i].stains.ravel(), fits[i].strengths]) for i in usable]
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
    """Return the tile of a grid that is full of tissue as it mostly is.

    Args:
        image: ``(H, W, 3)`` uint8, RGB.
        size: Side of the tile, px; smaller images are enlarged to it.
        rank: 0 for the best, 1 for the next, ...: an image that is used again gives
            another tile.

    Returns:
        ``(size, size, 3)`` uint8.
    """
    check_rgb(image)
    short = min(image.shape[:2])
    if short < size:
        scale = size / short
        image = cv2.resize(image, None, fx=scale, fy=scale)
        image = cv2.copyMakeBorder(image, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    rows, columns = (side // size for side in image.shape[:2])
    cut = image[: rows * size, : columns * size]
    score = _typicality(cut, (rows, size, columns, size))
    order = np.argsort(-score, axis=None, kind='stable')
    row, column = np.unravel_index(order[rank % len(order)], score.shape)
    top, left = row * size, column * size
    return cut[top : top + size, left : left + size].copy()


def _typicality(image: np.ndarray, grid: tuple[int, int, int, int]) -> np.ndarray:
    """Score tiles: their share of tissue, less what their density is off by.

    Neither glass nor a dark fold is typical. The densest tiles would be chosen by
    their tissue alone, and the target be darker than any image.
    """
    tissue = tissue_mask(image)
    density = optical_density(image).mean(axis=2)
    share = tissue.reshape(grid).mean(axis=(1, 3))
    if not tissue.any():
        return share
    usual = np.median(density[tissue])
    mean = density.reshape(grid).mean(axis=(1, 3))
    return share - np.abs(mean - usual) / usual


def join_tiles(tiles: Sequence[np.ndarray]) -> np.ndarray:
    """Lay a square number of tiles ``(s, s, 3)`` out, row by row."""
    side = round(len(tiles) ** 0.5)
    if side * side != len(tiles):
        raise ValueError(f'{len(tiles)} tiles make no square')
    rows = [np.hstack(tiles[i * side : (i + 1) * side]) for i in range(side)]
    return np.vstack(rows)
