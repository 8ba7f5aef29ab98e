"""Annotations that people drew on an image: outlines with a class.

Coordinates are px of the full-size image; (0, 0) is the upper left corner of its upper
left pixel. ``read_annotations`` reads files of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object of a file.

    Attributes:
        outline: Outline, px: a valid ``Polygon`` or ``MultiPolygon``.
        class_name: Class as QuPath shows it, such as ``'Tumor'``; of a derived class
            ``'Tumor: Positive'``; ``''`` where it has none.
        name: Name of the object; ``''`` where it has none.
        number: Place in the file, from 1.
        pixel_size: Pixel size at which it was measured, um/px, as its area in um^2 in
            the file tells; None where there is none.
        mean_probability: Mean probability that predict measured, 0..1; None where
            there is none.
    """

    outline: shapely.Geometry
    class_name: str
    name: str
    number: int
    pixel_size: float | None = None
    mean_probability: float | None = None


@dataclass(frozen=True)
class AnnotationFile:
    """What a file of annotations holds.

    Attributes:
        path: The file.
        annotations: Objects that cover an area, in the order of the file.
        mended: Number of outlines that met themselves, which ``shapely.make_valid``
            mended.
        left_out: Number of objects that cover no area, by kind, such as ``'Point'``.
    """

    path: Path
    annotations: tuple[Annotation, ...]
    mended: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def class_counts(self) -> dict[str, int]:
        """Number of objects of each class, in alphabetical order."""
        return dict(sorted(Counter(a.class_name for a in self.annotations).items()))


def mend_outlines(outlines: Sequence[shapely.Geometry]) -> tuple[np.ndarray, int]:
    """Mend outlines that meet themselves.

    Args:
        outlines: Polygons and multipolygons.

    Returns:
        The outlines, (N,) of objects, None where no area is left, and how many of
        those that are left were mended.
    """
    shapes = np.empty(len(outlines), object)
    shapes[:] = outlines
    broken = np.flatnonzero(~shapely.is_valid(shapes))
    for place in broken:
        shapes[place] = _areas_of(shapely.make_valid(shapes[place]))
    is_left = shapely.area(shapes) > 0
    shapes[~is_left] = None
    return shapes, int(is_left[broken].sum())


def _areas_of(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons of a shape without the lines and points beside them."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.union_all([part for part in parts if part.geom_type == 'Polygon'])
