"""What a prepared folder says about its slides: rows, tables and pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmseg_ftu.preparation.given_split import GivenSplit
from mmseg_ftu.preparation.slide_options import SlideOptions
from mmseg_ftu.preparation.slide_overview import draw_tiles
from mmseg_ftu.preparation.slide_plan import SlidePlan
from mmseg_ftu.preparation.slide_tiles import SlideTile
from mmseg_ftu.prepared_folder import OVERVIEWS, SLIDES, TILES

Chosen = Sequence[tuple[SlidePlan, Mapping[str, SlideTile]]]


def tile_row(
    plan: SlidePlan,
    name: str,
    tile: SlideTile,
    options: SlideOptions,
    split: GivenSplit,
) -> dict[str, Any]:
    """Return the row of ``folds.csv`` of a tile.

    To those who read the folder a tile is an image of its own: its original size and
    pixel size are those of training.
    """
    details = plan.file.details
    return {
        'id': name,
        'organ': details['organ'],
        'data_source': details['data_source'],
        'img_height': tile.box[2],
        'img_width': tile.box[3],
        'pixel_size': f'{options.pixel_size:g}',
        'age': '',
        'sex': '',
        'group': details['group'],
        'fold': split.fold_of(plan.file.name, details['fold']),
    }


def side_files(chosen: Chosen) -> dict[str, bytes]:
    """Return ``tiles.csv``, ``slides.csv`` and an overview of each slide."""
    tiles = [
        _place(plan, name, tile) for plan, of in chosen for name, tile in of.items()
    ]
    slides = [_account(plan, list(of.values())) for plan, of in chosen]
    files = {TILES: _csv(tiles), SLIDES: _csv(slides)}
    for plan, of in chosen:
        name = f'{OVERVIEWS}/{plan.file.name}.jpg'
        files[name] = draw_tiles(plan.thumbnail, plan.resized, of.values())
    return files


def _place(plan: SlidePlan, name: str, tile: SlideTile) -> dict[str, Any]:
    """Return where a tile lies, in px of the full-size slide."""
    down, across = np.divide(plan.shape, plan.resized).tolist()
    top, left, height, width = tile.box
    return {
        'id': name,
        'slide': plan.file.name,
        'left': round(left * across, 2),
        'top': round(top * down, 2),
        'width': round(width * across, 2),
        'height': round(height * down, 2),
        'units': round(tile.units, 4),
        'tissue': round(tile.tissue, 4),
    }


def _account(plan: SlidePlan, tiles: Sequence[SlideTile]) -> dict[str, Any]:
    """Return what a slide gave."""
    with_units = sum(tile.units > 0 for tile in tiles)
    return {
        'id': plan.file.name,
        'file': plan.file.path.name,
        'annotations': plan.file.annotations.name,
        'group': plan.file.details['group'],
        'img_height': plan.shape[0],
        'img_width': plan.shape[1],
        'pixel_size': f'{plan.pixel_size:g}',
        **plan.counts,
        'tiles_with_units': with_units,
        'tiles_without': len(tiles) - with_units,
        'notes': '; '.join(plan.notes),
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text: str = pd.DataFrame(rows).to_csv(index=False, lineterminator='\n')
    return text.encode()
