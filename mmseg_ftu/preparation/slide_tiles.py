"""Which tiles of a slide are prepared: those with units, and some without."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from mmseg_ftu.io.atomic_files import encode_png
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.preparation.slide_labels import SlideLabels
from mmseg_ftu.preparation.slide_options import SlideOptions

Box = tuple[int, int, int, int]
MOST_IGNORED = 0.5  # of a tile without units
OF_EMPTY = 64  # tiles of a slide without units that are looked at, times `negatives`


@dataclass(frozen=True)
class SlideTile:
    """A tile of a slide at the pixel size of training.

    Attributes:
        box: Top, left, height and width in px of the resized slide.
        mask: PNG of its labels: 0, 1 and 255.
        units: Share of the tile that is of units, 0..1.
        tissue: Share of the tile that is tissue, 0..1.
    """

    box: Box
    mask: bytes
    units: float
    tissue: float


def tile_boxes(shape: tuple[int, int], tile: int, overlap: int) -> list[Box]:
    """Return the tiles that cover a slide, row by row, as in prediction.

    All are of one size. Where they do not fit, neighbours overlap more. Of a slide
    smaller than a tile, the tile is as small.

    Args:
        shape: Height and width of the slide, px.
        tile: Side of a tile, px.
        overlap: The least overlap of neighbours, px.
    """
    tops, lefts = (_starts(length, tile, overlap) for length in shape)
    height, width = (min(length, tile) for length in shape)
    return [(top, left, height, width) for top in tops for left in lefts]


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


class TileChooser:
    """Choose tiles of one slide.

    Args:
        labels: Labels of the slide.
        shape: Height and width of the resized slide, px.
        boxes: Tiles to choose from.
        tissue: Share of tissue in each, (N,).
    """

    def __init__(
        self,
        labels: SlideLabels,
        shape: tuple[int, int],
        boxes: Sequence[Box],
        tissue: np.ndarray,
    ) -> None:
        self.labels, self.shape, self.boxes = labels, shape, boxes
        self.tissue = tissue
        self.with_units: list[int] = []

    def choose_with_units(self, units: Sequence[shapely.Geometry]) -> list[SlideTile]:
        """Return the tiles that hold at least one pixel of a unit."""
        tiles = []
        for place in self._touched_by(units):
            labels = self._labels(place)
            if (labels == 1).any():
                self.with_units.append(place)
                tiles.append(self._tile(place, labels))
        return tiles

    def choose_without(
        self,
        name: str,
        seed: int,
        count: int,
        options: SlideOptions,
        regions: Sequence[shapely.Geometry] | None,
        ignored: Sequence[shapely.Geometry],
    ) -> list[SlideTile]:
        """Return some of the tiles without units, in a random order.

        They hold enough tissue, and at most half of a tile is ignored. Call
        `choose_with_units` before.

        Args:
            name: Name of the slide; the choice depends on it, and on the seed.
            seed: Seed of the choice.
            count: The most tiles to return.
            options: ``least_tissue`` counts.
            regions: Outlines of what was annotated; None if all was.
            ignored: Outlines of what is ignored.
        """
        free = self.tissue >= options.least_tissue
        free[self.with_units] = False
        if regions is not None:
            inside = np.zeros(len(free), bool)
            inside[self._touched_by(regions)] = True
            free &= inside
        hidden = {*self._touched_by(ignored)}
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        tiles: list[SlideTile] = []
        for place in generator.permutation(np.flatnonzero(free)).tolist():
            if len(tiles) >= count:
                break
            is_plain = regions is None and place not in hidden
            size = self.boxes[place][2:]
            labels = np.zeros(size, np.uint8) if is_plain else self._labels(place)
            if (labels == IGNORE_LABEL).mean() <= MOST_IGNORED:
                tiles.append(self._tile(place, labels))
        return tiles

    def _touched_by(self, outlines: Sequence[shapely.Geometry]) -> list[int]:
        """Return the places of the boxes that outlines touch."""
        if not outlines:
            return []
        top, left, height, width = np.array(self.boxes, float).T
        down, across = (
            full / resized
            for full, resized in zip(self.labels.shape, self.shape, strict=True)
        )
        boxes = shapely.box(
            left * across,
            top * down,
            (left + width) * across,
            (top + height) * down,
        )
        found = shapely.STRtree(boxes).query([*outlines], predicate='intersects')
        return [int(place) for place in np.unique(found[1])]

    def _labels(self, place: int) -> np.ndarray:
        return self.labels.resized_part(self.shape, self.boxes[place])

    def _tile(self, place: int, labels: np.ndarray) -> SlideTile:
        units, tissue = float((labels == 1).mean()), float(self.tissue[place])
        return SlideTile(self.boxes[place], encode_png(labels), units, tissue)
