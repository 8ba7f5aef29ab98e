"""What ``tools/units.py`` does: measure the units of anybody's masks."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from math import isnan, prod, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from mmseg_ftu.evaluation.labels import Labels
from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.own_files import ListedFolder, refuse_nesting
from mmseg_ftu.io.pixel_size import LARGEST, SMALLEST
from mmseg_ftu.io.resizing import target_shape
from mmseg_ftu.io.sources import open_source
from mmseg_ftu.io.tables import id_fault
from mmseg_ftu.io.working_image import read_resized
from mmseg_ftu.stain.tissue_map import TISSUE_SIDE, tissue_map
from mmseg_ftu.units.unit_names import unit_name
from mmseg_ftu.units.unit_sources import (
    FoundUnits,
    MaskUnits,
    OutlineUnits,
    annotation_files,
    image_files,
)
from mmseg_ftu.units.unit_table import (
    COLUMNS,
    UnitImage,
    image_row,
    join_tables,
    unit_rows,
    write_image_rows,
    write_rows,
)

CLEANING = {
    'max_hole_um2': '--max-hole-um2',
    'min_area_um2': '--min-area-um2',
    'min_area_px': '--min-area-px',
    'split_um': '--split-touching-um',
    'split_px': '--split-touching-px',
}  # options of `clean_objects` as users know them


def measure_masks(
    masks: Path,
    out: Path,
    *,
    images: Path | None = None,
    pixel_size: Iterable[float] | None = None,
    organ: str | None = None,
    class_name: str | None = None,
    foreground: Iterable[int] | str = 'auto',
    ignore: int | None = None,
    instances: bool = False,
    **cleaning: Any,
) -> str:
    """Measure the units of masks, write the tables, return a sentence for people.

    Args:
        masks: Masks in any layout of ``open_masks``, or a file or folder of GeoJSON.
        out: Folder for ``units/ID.csv``, ``units.csv`` and ``units_by_image.csv``.
        images: Folder of the images, for tissue, pixel size and, of outlines, the size.
        pixel_size: Width and height of a pixel, um, or one number for both; of all
            images. By default it is what the table says, else the image's file.
        organ: Organ of all images, instead of the table's.
        class_name: What the units are called; by default as the file says or by organ.
        foreground: Labels that are foreground, see ``Labels``.
        ignore: Label that is ignored.
        instances: Take each label for a unit.
        **cleaning: Options of ``clean_objects`` but for the pixel size.

    Raises:
        ValueError: If an argument or a file cannot be used, or a file is in the way.
    """
    spacing = _spacing(pixel_size)
    _check_cleaning(cleaning)
    files = image_files(images) if images else {}
    options: dict[str, Any] = dict(
        foreground=foreground, ignore=ignore, instances=instances, cleaning=cleaning
    )
    units = _open(masks, options)
    faults = [f'{name!r} ({fault})' for name in units.ids if (fault := id_fault(name))]
    if faults:
        raise ValueError(f'{masks}: {some_of(faults)}')
    folders = [path for path in (masks, images) if path and path.is_dir()]
    refuse_nesting(out, folders, [masks] if masks.is_file() else [])
    folder = ListedFolder(out)
    rows, lost = [], [name for name in units.ids if images and name not in files]
    for name in tqdm(units.ids, 'measuring', unit='image', disable=None):
        file = files.get(name) or (None if images else units.image_file(name))
        known = units.known(name)
        parts = []
        for table, row in _measured(
            units, name, file, spacing, organ or known['organ'], class_name
        ):
            parts.append(table)
            rows.append(row)
        whole = pd.concat(parts, ignore_index=True)
        folder.write(f'units/{name}.csv', partial(write_rows, rows=whole))
    tables = [out / 'units' / f'{name}.csv' for name in units.ids]
    folder.write('units.csv', partial(join_tables, parts=tables))
    folder.write('units_by_image.csv', partial(write_image_rows, rows=rows))
    text = _summary(out, rows, len(units.ids), lost)
    if isinstance(units, OutlineUnits) and units.too_small:
        text += f'\n{units.too_small} outlines hold no centre of a pixel: left out'
    return text


def _open(masks: Path, options: dict[str, Any]) -> MaskUnits | OutlineUnits:
    """Open outlines where there are any and no table of masks; else masks."""
    is_outline = masks.is_file() and masks.suffix.lower() != '.csv'
    is_outline = is_outline and not masks.name.lower().endswith('.csv.gz')
    if masks.is_dir():
        tables = [*masks.glob('*.csv')]
        is_outline = not tables and bool(annotation_files(masks))
    if not is_outline:
        return MaskUnits(masks, **options)
    labels = Labels(options['foreground'], options['ignore'])
    if labels.are_given or options['instances'] or any(options['cleaning'].values()):
        raise ValueError(
            f'{masks}: outlines are measured as they are; leave out the options on '
            'labels, holes, areas and splitting'
        )
    return OutlineUnits(masks)


def _measured(
    units: MaskUnits | OutlineUnits,
    name: str,
    file: Path | None,
    spacing: tuple[float, float] | None,
    organ: str,
    class_name: str | None,
) -> Iterator[tuple[pd.DataFrame, dict[str, Any]]]:
    """Yield the rows of units of each class of an image, and its row."""
    share, of_file = (None, None) if file is None else _look_at(file)
    if spacing is None:
        size = units.known(name)['pixel_size']
        size = of_file if isnan(size) else size
        spacing = None if size is None else (size, size)
    mean = None if spacing is None else sqrt(prod(spacing))
    if isinstance(units, MaskUnits):
        _require_um(name, mean, units.cleaning)
    for found in units.units(name, file, mean):
        image = UnitImage(
            name,
            organ,
            class_name or found.class_name or unit_name(organ),
            found.counted_px,
            spacing,
            share,
            found.covered_px,
        )
        rows = _rows(found, image)
        yield rows, image_row(rows, image)


def _rows(found: FoundUnits, image: UnitImage) -> pd.DataFrame:
    """Return the rows of units, of which each may be measured alone."""
    if len(found.objects) == 1 and found.mean_probability is not None:
        return unit_rows(found.objects[0], image, found.mean_probability)
    numbers = found.numbers
    if len(found.objects) == 1:
        return unit_rows(found.objects[0], image, numbers=numbers)
    parts = [
        unit_rows(one, image, numbers=[number])
        for one, number in zip(found.objects, numbers or [], strict=True)
    ]
    return pd.concat(parts, ignore_index=True) if parts else _no_rows()


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame(columns=[*COLUMNS])


def _look_at(file: Path) -> tuple[float, float | None]:
    """Return the share of tissue of an image, and the pixel size that its file says."""
    source = open_source(file)
    try:
        shape = target_shape(source.shape, min(TISSUE_SIDE, max(source.shape)))
        share = float(tissue_map(read_resized(source, shape)).mean())
        return share, source.pixel_size
    finally:
        source.close()


def _spacing(pixel_size: Iterable[float] | None) -> tuple[float, float] | None:
    """Return height and width of a pixel, um."""
    if pixel_size is None:
        return None
    sizes = [*pixel_size]
    fits = all(SMALLEST <= size <= LARGEST for size in sizes)
    if len(sizes) not in (1, 2) or not fits:
        raise ValueError(
            f'--pixel-size {" ".join(map(str, sizes))}: give the width and height of a '
            f'pixel, {SMALLEST:g} to {LARGEST:g} um, or one number for both'
        )
    return sizes[-1], sizes[0]


def _require_um(name: str, pixel_size: float | None, cleaning: dict[str, Any]) -> None:
    """Refuse limits in um where an image's pixel size is unknown."""
    given = [o for key, o in CLEANING.items() if 'um' in key and cleaning.get(key)]
    if given and pixel_size is None:
        raise ValueError(
            f'{given[0]}: the pixel size of {name!r} is unknown: give --pixel-size, or '
            'a limit in px where there is one'
        )


def _check_cleaning(cleaning: Mapping[str, Any]) -> None:
    """Check the options of `clean_objects`, by the names that users know."""
    for name, option in CLEANING.items():
        value = cleaning.get(name)
        if value is None:
            continue
        splits = name.startswith('split')
        if not (value > 0 if splits else value >= 0) or value == np.inf:
            wanted = 'a positive number' if splits else '0 or more'
            raise ValueError(f'{option} {value:g}: give {wanted}')
    if cleaning.get('split_um') is not None and cleaning.get('split_px') is not None:
        raise ValueError('--split-touching-um and --split-touching-px: give one')
    if cleaning.get('max_hole_um2') is not None and not cleaning.get('fill'):
        raise ValueError(
            '--max-hole-um2 limits --fill-holes: give that too, or leave it out'
        )


def _summary(
    out: Path, rows: list[dict[str, Any]], images: int, lost: list[str]
) -> str:
    count = sum(row['units'] for row in rows)
    lines = [f'{count} units of {images} images: {out / "units.csv"}']
    if any(row['image_mm2'] is None for row in rows):
        lines.append('No um for images of unknown pixel size: give --pixel-size.')
    if lost:
        lines.append(f'{len(lost)} have no image in --images: {some_of(lost)}')
    return '\n'.join(lines)
