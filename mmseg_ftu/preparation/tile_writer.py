"""Read tiles of slides at the pixel size of training, and write them as files."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np

from mmseg_ftu.io.atomic_files import write_bytes, write_png
from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.sources import Source, plan_source
from mmseg_ftu.io.working_image import best_level, blocks, read_scaled
from mmseg_ftu.painted_source import PaintedSource
from mmseg_ftu.preparation.slide_plan import SlidePlan
from mmseg_ftu.preparation.slide_tiles import Box, SlideTile
from mmseg_ftu.prepared_folder import FolderPaths
from mmseg_ftu.recipe import StainPainter, StainStep

TOGETHER = 16  # tiles for which a slide is opened once
READ_SIDE = 2048  # px a side of a slide that are read at once


class Batch(NamedTuple):
    """Some tiles of a slide, by id, for which it is opened once."""

    plan: SlidePlan
    tiles: Mapping[str, SlideTile]


def batches(
    todo: Sequence[tuple[SlidePlan, Mapping[str, SlideTile]]], together: int = TOGETHER
) -> list[Batch]:
    """Divide the tiles of slides; an image that is decoded as a whole stays whole."""
    found = []
    for plan, tiles in todo:
        items = list(tiles.items())
        step = len(items) if plan.is_decoded else together
        found += [
            Batch(plan, dict(items[i : i + step])) for i in range(0, len(items), step)
        ]
    return found


def len_of(batch: Batch) -> int:
    """Return how many tiles a batch has."""
    return len(batch.tiles)


class TileWriter:
    """Write image and masks of tiles.

    Args:
        paths: The prepared folder.
        stain: The stain step; None for none.
        painters: The fitted step of each slide, by its name.
        budget: Bounds the pixels that threads decode at once.
    """

    def __init__(
        self,
        paths: FolderPaths,
        stain: StainStep | None,
        painters: Mapping[str, StainPainter],
        budget: PixelBudget,
    ) -> None:
        self.paths, self.budget, self.painters = paths, budget, painters
        self.comes_first = stain is not None and stain.comes_first

    def write(self, batch: Batch) -> None:
        """Write the tiles of a batch.

        Raises:
            ValueError: If the slide is damaged.
            OSError: If it cannot be opened.
        """
        painter = self.painters.get(batch.plan.file.name)
        opening = plan_source(batch.plan.file.path)
        with self.budget.hold(opening.pixels), closing(opening.open()) as source:
            for name, tile in batch.tiles.items():
                image = self._image(source, batch.plan.resized, tile.box, painter)
                write_png(self.paths.image_path(name), image)
                write_bytes(self.paths.mask_path(name), tile.mask)
                write_bytes(self.paths.mask_path(name, original=True), tile.mask)

    def _image(
        self,
        source: Source,
        shape: tuple[int, int],
        box: Box,
        painter: StainPainter | None,
    ) -> np.ndarray:
        """Return a tile, normalised in the order of the step."""
        if painter is None:
            return read_tile(source, shape, box)
        if self.comes_first:
            return read_tile(PaintedSource(source, painter), shape, box)
        return painter.paint(read_tile(source, shape, box))


def read_tile(
    source: Source, shape: tuple[int, int], box: Box, side: int = READ_SIDE
) -> np.ndarray:
    """Read a part of a slide as if the whole had been resized.

    Args:
        source: The open slide.
        shape: Height and width of the resized slide, px.
        box: Top, left, height and width of the part, in px of the resized slide.
        side: Side of what is read at once from a level of the slide, px.

    Returns:
        RGB uint8 (height, width, 3); see ``read_scaled``. Memory stays flat however
        much larger the slide is.
    """
    top, left, height, width = box
    scale = max(source.levels[best_level(source.levels, shape)]) / max(shape)
    step = max(16, int(side / max(scale, 1)))
    image = np.empty((height, width, 3), np.uint8)
    for y, x, rows, columns in blocks((height, width), step):
        part = read_scaled(source, shape, (top + y, left + x, rows, columns))
        image[y : y + rows, x : x + columns] = part
    return image
