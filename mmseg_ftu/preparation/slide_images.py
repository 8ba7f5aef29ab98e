"""Write the tiles of slides, as ``FolderWriter`` asks for them."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from mmseg_ftu.io.pixel_budget import PixelBudget
from mmseg_ftu.io.threads import unordered_map
from mmseg_ftu.preparation.folder_summary import LAYOUT
from mmseg_ftu.preparation.folds import assign_folds
from mmseg_ftu.preparation.given_split import GivenSplit, checked_folds
from mmseg_ftu.preparation.records import PreparationError, file_key
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_plan import SlidePlan
from mmseg_ftu.preparation.slide_stain import fit_stains
from mmseg_ftu.preparation.slide_tables import side_files, tile_row
from mmseg_ftu.preparation.slide_tiles import SlideTile
from mmseg_ftu.preparation.tile_writer import TileWriter, batches, len_of
from mmseg_ftu.prepared_folder import FolderPaths
from mmseg_ftu.recipe import stain_of


class SlideImages:
    """Tiles of slides as the images of a prepared folder.

    Args:
        plans: Slides with the tiles that were chosen of each, by id.
        options: What was asked for.
        split: Split that was given; empty for none.
        settings: Settings of the run: ``folds``, ``seed``, ``stain``.
        workers: Threads; 0 works in the calling one.
        budget: Bounds the pixels that threads decode at once.

    Attributes:
        made_of: Fingerprint of all that an image depends on, by id.
        side_files: Tables of tiles and slides, and a picture of each slide.
    """

    def __init__(
        self,
        plans: Sequence[tuple[SlidePlan, Mapping[str, SlideTile]]],
        options: SlideOptions,
        split: GivenSplit,
        settings: dict[str, Any],
        workers: int,
        budget: PixelBudget,
    ) -> None:
        self.plans, self.options, self.split = plans, options, split
        self.settings, self.workers, self.budget = settings, workers, budget
        self.made_of: Mapping[str, str] = {
            name: _fingerprint(plan, tile, settings)
            for plan, tiles in plans
            for name, tile in tiles.items()
        }
        self.side_files: Mapping[str, bytes] = side_files(plans)

    def checked_table(self, current: Collection[str]) -> pd.DataFrame:
        """Return the rows of ``folds.csv``; tiles of a group are in one fold.

        Raises:
            PreparationError: If there is no tile, or there are too few groups.
        """
        rows = [
            tile_row(plan, name, tile, self.options, self.split)
            for plan, tiles in self.plans
            for name, tile in tiles.items()
        ]
        if not rows:
            raise PreparationError('no tile is left to prepare')
        table = pd.DataFrame(rows, dtype=object)
        try:
            if self.split:
                return table.assign(fold=checked_folds(table))
            folds, seed = self.settings['folds'], self.settings['seed']
            return table.assign(fold=assign_folds(table, folds, seed))
        except ValueError as error:
            raise PreparationError(str(error)) from error

    def write(
        self, paths: FolderPaths, ids: Collection[str]
    ) -> Iterator[tuple[str, str | None]]:
        """Write tiles; yield each id and why the slide's stains could not be fitted."""
        todo = [
            (plan, {name: tile for name, tile in tiles.items() if name in ids})
            for plan, tiles in self.plans
        ]
        todo = [(plan, tiles) for plan, tiles in todo if tiles]
        stain = stain_of(self.settings, str(paths.manifest_path))
        plans = [plan for plan, _ in todo]
        painters = fit_stains(plans, stain, self.workers, self.budget) if stain else {}
        writer = TileWriter(paths, stain, painters, self.budget)
        for batch, _ in unordered_map(
            writer.write, batches(todo), self.workers, 'writing', 'tile', len_of
        ):
            painter = painters.get(batch.plan.file.name)
            for name in batch.tiles:
                yield name, painter.failure if painter else None


def _fingerprint(plan: SlidePlan, tile: SlideTile, settings: dict[str, Any]) -> str:
    """Return a text that changes with anything that the files of a tile depend on."""
    mask = hashlib.sha256(tile.mask).hexdigest()
    parts = [LAYOUT, file_key(plan.file.path), plan.resized, tile.box, mask]
    parts.append(settings.get('stain'))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
