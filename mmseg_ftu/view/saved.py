"""What predict saved of an image, opened to be drawn."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_ftu.io.tables import id_fault
from mmseg_ftu.masks.annotations import Annotation
from mmseg_ftu.masks.read_annotations import read_annotations
from mmseg_ftu.view.image_row import ImageRow
from mmseg_ftu.view.layers import (
    PROBABILITY,
    UNITS,
    Layer,
    open_mask,
    open_probability,
    outline_layers,
)
from mmseg_ftu.view.shift import shifted

SUFFIXES = {
    'masks': ('.png', '.tif', '.tiff', '.bmp'),
    'probabilities': ('.tif', '.tiff', '.png'),
    'geojson': ('.geojson', '.geojson.gz'),
    'units': ('.csv',),
}
NOTHING = (
    'Nothing that can be drawn was saved of this image: predict with --save masks, '
    'geojson or probabilities.'
)


@dataclass
class Saved:
    """Units and probabilities of an image.

    Attributes:
        units: A layer of the mask, or one for each class of the outlines.
        probability: Layer of the probabilities; None if there is none.
        outlines: The outlines where the units are drawn from them.
        is_edited: Whether the mask is not the file any more that predict wrote.
        notes: What people should know.
    """

    units: list[Layer] = field(default_factory=list)
    probability: Layer | None = None
    outlines: list[Annotation] | None = None
    is_edited: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def layers(self) -> list[Layer]:
        """All layers."""
        return [*self.units, *([self.probability] if self.probability else [])]


def saved_file(folder: Path, kind: str, name: str) -> Path | None:
    """Return what was saved of an image.

    Args:
        folder: The prediction folder.
        kind: Kind of the file, such as ``'masks'``.
        name: Id of the image; one that is not a plain name has no files.
    """
    if id_fault(name):
        return None
    paths = [folder / kind / f'{name}{suffix}' for suffix in SUFFIXES[kind]]
    return next((path for path in paths if path.is_file()), None)


def open_saved(
    folder: Path,
    row: ImageRow,
    shape: Callable[[], tuple[int, int]],
    corner: Callable[[], tuple[int, int]],
) -> Saved:
    """Open the units of an image, from its mask or else its outlines.

    Args:
        folder: The prediction folder.
        row: What the table says of the image.
        shape: Gives height and width of the image, px.
        corner: Gives row and column where the scanned part of a slide begins, px.

    Returns:
        What can be opened; what cannot is in its notes.
    """
    saved = Saved()
    record = _record(folder, row.id)
    saved.notes += [
        f'{name} is missing, which predict has written.'
        for name in _sizes(record)
        if not (folder / name).is_file()
    ]
    try:
        if path := saved_file(folder, 'masks', row.id):
            saved.units = [Layer.of(UNITS, row.class_name, open_mask(path))]
            saved.is_edited = _is_edited(path, record)
    except (ValueError, OSError) as error:
        saved.notes.append(f'The mask is not drawn: {error}')
    try:
        if not saved.units and (path := saved_file(folder, 'geojson', row.id)):
            found = read_annotations(path).annotations
            start = _origin(record) or corner()
            saved.outlines = shifted(found, start)
            saved.units = outline_layers(UNITS, saved.outlines, shape(), row.class_name)
    except (ValueError, OSError) as error:
        saved.notes.append(f'The GeoJSON is not drawn: {error}')
    try:
        if path := saved_file(folder, 'probabilities', row.id):
            pixels = open_probability(path)
            saved.probability = Layer.of(PROBABILITY, row.class_name, pixels)
    except (ValueError, OSError) as error:
        saved.notes.append(f'The probabilities are not drawn: {error}')
    if not (saved.layers or saved.notes or saved.outlines is not None or row.fault):
        saved.notes.append(NOTHING)
    return saved


def _record(folder: Path, name: str) -> dict[str, Any]:
    """Return what predict noted of an image; empty where it cannot be read."""
    if id_fault(name):
        return {}
    try:
        found = json.loads((folder / 'records' / f'{name}.json').read_text('utf-8'))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sizes(record: dict[str, Any]) -> dict[str, Any]:
    """Return the files that can be drawn of a record, with their sizes in bytes."""
    files = record.get('files')
    known = files.items() if isinstance(files, dict) else ()
    drawn = {name: size for name, size in known if name.count('/') == 1}
    return {name: drawn[name] for name in drawn if name.partition('/')[0] in SUFFIXES}


def _is_edited(path: Path, record: dict[str, Any]) -> bool:
    """Tell whether a file has another size than predict noted."""
    size = _sizes(record).get(f'{path.parent.name}/{path.name}')
    return size is not None and path.stat().st_size != size


def _origin(record: dict[str, Any]) -> tuple[int, int] | None:
    """Return where the coordinates of a GeoJSON begin, as its record says it."""
    with suppress(ValueError, KeyError, TypeError):
        row, column = record['outlines']['origin']
        return int(row), int(column)
    return None
