"""What is written of a prediction, and where: the layout of a prediction folder.

DIR/prediction.json     settings, checkpoints with their hashes, versions
DIR/predictions.csv     one row an image
DIR/masks/ID.png        0 and 255 at the original size (.tif above 8192 px)
DIR/probabilities/ID.tif, overlays/ID.jpg, geojson/ID.geojson(.gz), submission.csv
DIR/units/ID.csv, units.csv, units_by_image.csv
DIR/records/ID.json     one image that is done, with its files, or why it failed
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from mmseg_ftu.inference.file_options import FileOptions
from mmseg_ftu.inference.predictor import Prediction
from mmseg_ftu.inference.upsample import as_rows
from mmseg_ftu.inference.write_outlines import write_outlines
from mmseg_ftu.inference.writers import (
    MAX_OVERLAY_SIDE,
    mask_suffix,
    write_mask,
    write_overlay,
    write_probability,
)
from mmseg_ftu.masks.boundary import encode_columns
from mmseg_ftu.masks.clean_objects import clean_objects
from mmseg_ftu.masks.objects import Objects, mean_probability
from mmseg_ftu.masks.split_touching import too_large
from mmseg_ftu.stain.tissue_map import TISSUE_SIDE, tissue_map
from mmseg_ftu.units.unit_table import UnitImage, image_row, unit_rows, write_rows


def write_files(
    prediction: Prediction, folder: Path, options: FileOptions
) -> dict[str, Any]:
    """Write the files of one image, each in one step.

    Returns:
        What the image's record adds: files (size in bytes by name), threshold,
        foreground (share), objects (count), for GeoJSON what `write_outlines` returns,
        for units their row of ``units_by_image.csv``, and, for a submission, rle.

    Raises:
        ValueError: If a limit is in um^2 and the pixel size is unknown.
    """
    objects = clean_objects(
        prediction.map.mask(),
        fill=options.fill_holes,
        max_hole_um2=options.max_hole_um2,
        min_area_um2=options.min_area_um2,
        min_area_px=options.min_area_px,
        split_um=options.split_um,
        split_px=options.split_px,
        pixel_size=prediction.map.pixel_size,
    )
    files = {}
    for kind in options.kinds:
        if kind in WRITERS:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = WRITERS[kind](prediction, objects, folder / kind, options)
            files[f'{kind}/{path.name}'] = path.stat().st_size
    about: dict[str, Any] = {}
    if 'geojson' in options.kinds:
        job = prediction.loaded.job
        path = folder / 'geojson' / f'{job.id}{options.geojson_suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        about = write_outlines(
            path,
            prediction,
            objects,
            name=options.unit_name(job.organ),
            object_type=options.object_type,
            simplify=options.deviation,
            origin=options.origin,
            most=options.max_objects,
        )
        files[f'geojson/{path.name}'] = path.stat().st_size
    if options.splits and (whole := int(too_large(objects).sum())):
        note = f'{whole} objects are too large to be split, and stay whole'
        about['notes'] = [*about.get('notes', ()), note]
    if 'units' in options.kinds:
        rows, about['units'] = _measured_units(prediction, objects, options)
        path = folder / 'units' / f'{prediction.loaded.job.id}.csv'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_rows(path, rows)
        files[f'units/{path.name}'] = path.stat().st_size
    height, width = prediction.map.original_shape
    added = dict(
        files=files,
        threshold=prediction.threshold,
        foreground=objects.mask.area / (height * width),
        objects=len(objects),
        **about,
    )
    if 'submission' in options.kinds:
        added['rle'] = encode_columns(objects.mask)
    return added


def _mask(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    shape = objects.mask.shape
    suffix = f'.{options.mask_format}'
    if options.mask_format == 'auto':
        suffix = mask_suffix(shape)
    path = folder / f'{prediction.loaded.job.id}{suffix}'
    write_mask(path, objects.mask.strips(), shape, prediction.map.pixel_size)
    return path


def _overlay(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    image = prediction.loaded.thumbnail(MAX_OVERLAY_SIDE)
    path = folder / f'{prediction.loaded.job.id}.jpg'
    write_overlay(path, image, objects.mask)
    return path


def _measured_units(
    prediction: Prediction, objects: Objects, options: FileOptions
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows of the units, and that of the image."""
    job, size = prediction.loaded.job, prediction.map.pixel_size
    height, width = objects.mask.shape
    picture = prediction.loaded.thumbnail(TISSUE_SIDE)
    image = UnitImage(
        job.id,
        job.organ or '',
        options.unit_name(job.organ),
        counted_px=height * width,
        spacing=None if size is None else (size, size),
        tissue_share=float(tissue_map(picture).mean()),
    )
    means = mean_probability(objects, prediction.map.strips())
    rows = unit_rows(objects, image, means)
    return rows, image_row(rows, image)


def _probability(
    prediction: Prediction, objects: Objects, folder: Path, options: FileOptions
) -> Path:
    """Write the map at the original size, or as it is where that is a slide's."""
    probability, path = prediction.map, folder / f'{prediction.loaded.job.id}.tif'
    if mask_suffix(probability.original_shape) == '.png':
        strips, shape = probability.strips(), probability.original_shape
    else:
        source = as_rows(probability.source)
        shape = source.shape
        strips = (
            source.rows(y, min(y + 512, shape[0])) for y in range(0, shape[0], 512)
        )
    size = probability.pixel_size
    if size is not None:
        size *= probability.original_shape[1] / shape[1]
    write_probability(path, strips, shape, size)
    return path


WRITERS: dict[str, Callable[[Prediction, Objects, Path, FileOptions], Path]] = {
    'masks': _mask,
    'overlays': _overlay,
    'probabilities': _probability,
}
