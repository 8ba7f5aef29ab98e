"""Masks in a file of COCO's format: polygons and run lengths, by pycocotools.

https://cocodataset.org/#format-data. All objects of the chosen categories become one
mask. A crowd counts like any other object.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_masks

from mmseg_ftu.io.listing import some_of
from mmseg_ftu.io.raster import IGNORE_LABEL
from mmseg_ftu.preparation.coco_faults import annotation_faults
from mmseg_ftu.preparation.records import Fault, PreparationError, require_no_faults

SHOWN = 20  # faults
LISTS = ('images', 'annotations', 'categories')
Shapes = tuple[Any, ...]  # polygons (lists of numbers) and run lengths (objects)


@dataclass(frozen=True)
class CocoMask:
    """The mask of one image.

    Attributes:
        path: The file, with the name of the image behind it.
        shape: Height and width, px.
        units: Segmentations of units.
        ignored: Segmentations of what is ignored.
    """

    path: Path
    shape: tuple[int, int]
    units: Shapes = field(repr=False, default=())
    ignored: Shapes = field(repr=False, default=())

    def read(self) -> np.ndarray:
        """Draw the mask, ``(H, W)`` uint8: 0, 1, and 255 where it is ignored.

        Raises:
            ValueError: If an object cannot be drawn.
        """
        labels = np.zeros(self.shape, np.uint8)
        for shapes, label in ((self.units, 1), (self.ignored, IGNORE_LABEL)):
            for number, shape in enumerate(shapes, start=1):
                labels[self._draw(shape, number) > 0] = label
        return labels

    def key(self) -> str:
        """Return a text that changes with the mask."""
        content = json.dumps([self.shape, self.units, self.ignored])
        return hashlib.sha256(content.encode()).hexdigest()

    def _draw(self, shape: Any, number: int) -> np.ndarray:
        """Draw one object, ``(H, W)`` uint8 of 0 and 1."""
        try:
            runs = shape
            if isinstance(shape, list) or isinstance(shape['counts'], list):
                runs = coco_masks.frPyObjects(shape, *self.shape)
            runs = coco_masks.merge(runs) if isinstance(runs, list) else runs
            pixels: np.ndarray = coco_masks.decode(runs)
        except Exception as error:  # whatever its C library says
            raise ValueError(
                f'{self.path}: object {number} of the image is neither polygons nor '
                f'run lengths ({type(error).__name__}: {error})'
            ) from error
        if pixels.shape != self.shape:
            raise ValueError(
                f'{self.path}: object {number} of the image has {pixels.shape} px, the '
                f'image {self.shape}'
            )
        return pixels


def read_coco(
    path: Path, foreground: Iterable[int | str] | str, ignore: int | None
) -> dict[str, list[CocoMask]]:
    """Read the masks of all images, by their names without extension.

    Args:
        path: The JSON file.
        foreground: Names or ids of the categories that are foreground; a word such as
            ``'auto'`` takes all but the one that is ignored.
        ignore: Id of the category that is ignored; None for none.

    Raises:
        PreparationError: If the file is not of that format, lacks a category, or has
            annotations that cannot be drawn; the message names them by id.
    """
    content = _read_lists(path)
    try:
        names = {c['id']: str(c['name']) for c in content['categories']}
        units = _chosen(path, names, foreground) - {ignore}
        if ignore is not None:
            _chosen(path, names, [ignore])
        _require_drawable(path, content, names, units | {ignore})
        shapes: dict[Any, list[tuple[int, Any]]] = {}
        for entry in content['annotations']:
            shape = entry['category_id'], entry.get('segmentation')
            shapes.setdefault(entry['image_id'], []).append(shape)
        found: dict[str, list[CocoMask]] = {}
        for image in content['images']:
            name = Path(str(image['file_name']))
            of_image = shapes.get(image['id'], [])
            mask = CocoMask(
                path / name.name,
                (int(image['height']), int(image['width'])),
                tuple(shape for kind, shape in of_image if kind in units),
                tuple(shape for kind, shape in of_image if kind == ignore),
            )
            found.setdefault(name.stem, []).append(mask)
    except (KeyError, TypeError, AttributeError) as error:
        raise PreparationError(
            f'{path}: an entry lacks {error}; export it in the format of COCO'
        ) from error
    return found


def _read_lists(path: Path) -> Mapping[str, Any]:
    """Read the file, and see that it has the lists of the format."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise PreparationError(f'{path}: is not JSON ({error})') from error
    there = content if isinstance(content, dict) else {}
    missing = [name for name in LISTS if name not in there]
    if missing:
        raise PreparationError(
            f'{path}: is not in the format of COCO, as it lacks {", ".join(missing)}'
        )
    return there


def _require_drawable(
    path: Path,
    content: Mapping[str, Any],
    categories: Mapping[Any, str],
    drawn: set[Any],
) -> None:
    """Raise where annotations cannot be drawn.

    Raises:
        PreparationError: With the first faults, and how many more there are.
    """
    images = {i['id']: (int(i['height']), int(i['width'])) for i in content['images']}
    texts = annotation_faults(content['annotations'], images, categories, drawn)
    more = len(texts) - SHOWN
    shown = [f'{path}: {text}' for text in texts[:SHOWN]]
    shown += [f'{path}: and {more} more faults of annotations'] if more > 0 else []
    require_no_faults([Fault(row, text) for row, text in enumerate(shown)])


def _chosen(
    path: Path, names: Mapping[Any, str], wanted: Iterable[int | str] | str
) -> set[Any]:
    """Return the ids of categories by their names or ids."""
    if isinstance(wanted, str):
        return {*names}
    words = [str(word) for word in wanted]
    known = {*names.values()} | {str(number) for number in names}
    if unknown := [word for word in words if word not in known]:
        there = some_of(f'{name} ({number})' for number, name in names.items())
        raise PreparationError(
            f'{path}: there is no category {", ".join(unknown)}, only {there}'
        )
    return {n for n, name in names.items() if name in words or str(n) in words}
