"""Objects as GeoJSON that QuPath opens as annotations or detections.

The format as of QuPath 0.4 (https://github.com/qupath/qupath/pull/1099; older versions
read it but for the measurements): ``objectType``, ``classification`` with a ``name``
and a ``color`` of three numbers 0..255, ``measurements`` as one JSON object, ids are
UUIDs. Coordinates are px of the full-size image, (0, 0) is its upper left corner
(https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html).

Deviation: objects are 8-connected, QuPath's own tools make 4-connected ones; parts that
touch at a corner only are one ``MultiPolygon``.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_ftu.io.atomic_files import replacing
from mmseg_ftu.masks.draw_outlines import PREDICTION_COLOUR
from mmseg_ftu.masks.object_types import OBJECT_TYPES
from mmseg_ftu.masks.objects import Objects
from mmseg_ftu.masks.outlines import Polygon, trace_outlines

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


def write_geojson(
    path: Path,
    objects: Objects,
    *,
    name: str = 'FTU',
    colour: tuple[int, int, int] = PREDICTION_COLOUR,
    object_type: str = 'annotation',
    pixel_size: float | None = None,
    mean_probability: np.ndarray | None = None,
    simplify: float = 0.0,
) -> None:
    """Write a FeatureCollection with one feature an object.

    Written feature by feature; equal input gives an equal file.

    Args:
        path: The file; an older one is replaced in one step.
        objects: The objects, of a mask at the original size.
        name: Name of QuPath's class, such as ``'glomerulus'``.
        colour: Colour of that class, RGB 0..255.
        object_type: ``'annotation'``, which people can edit, or ``'detection'``, which
            QuPath draws faster where there are thousands.
        pixel_size: Pixel size, um/px; areas are in px where it is None.
        mean_probability: Mean probability of each object, (N,), 0..1; left out where it
            is None.
        simplify: Leave out points within this distance of the outline, px; 0 keeps the
            pixels exactly.

    Raises:
        ValueError: If the object type is unknown, ``simplify`` negative, or the count
            of probabilities differs from that of the objects.
    """
    if object_type not in OBJECT_TYPES:
        raise ValueError(f'object_type {object_type!r}: choose from {OBJECT_TYPES}')
    if not simplify >= 0:
        raise ValueError(f'simplify {simplify}: must be 0 px or more')
    if mean_probability is not None and len(mean_probability) != len(objects):
        raise ValueError(
            f'{len(mean_probability)} mean probabilities for {len(objects)} objects'
        )
    properties = {
        'objectType': object_type,
        'classification': {'name': name, 'color': list(colour)},
    }
    with (
        replacing(Path(path)) as temporary,
        temporary.open('w', encoding='utf-8') as file,
    ):
        file.write('{"type": "FeatureCollection", "features": [')
        for i, polygons in enumerate(trace_outlines(objects)):
            mean = None if mean_probability is None else float(mean_probability[i])
            feature = {
                'type': 'Feature',
                'id': _identity(objects, i),
                'geometry': _geometry(polygons, simplify),
                'properties': {
                    **properties,
                    'measurements': _measurements(objects.area[i], pixel_size, mean),
                },
            }
            file.write('\n' if i == 0 else ',\n')
            file.write(json.dumps(feature, separators=(',', ':')))
        file.write('\n]}\n')


def _identity(objects: Objects, i: int) -> str:
    """Return a UUID (QuPath ignores other ids) that depends on the object only."""
    place = [getattr(objects, side)[i] for side in ('top', 'bottom', 'left', 'right')]
    text = ' '.join(map(str, [*objects.mask.shape, *place, objects.area[i], i]))
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f'mmseg_ftu {text}'))


def _measurements(
    area: int, pixel_size: float | None, mean: float | None
) -> dict[str, float]:
    """Return what QuPath shows of an object; area is named as in QuPath's own table."""
    measurements: dict[str, float]
    if pixel_size is None:
        measurements = {'Area px^2': int(area)}
    else:
        measurements = {'Area \u00b5m^2': round(float(area) * pixel_size**2, 4)}
    if mean is not None:
        measurements['Mean probability'] = round(mean, 4)
    return measurements


def _geometry(polygons: list[Polygon], simplify: float) -> dict[str, Any]:
    """Return a GeoJSON geometry, ``MultiPolygon`` only where there are several."""
    if simplify:
        return _simplified(polygons, simplify)
    coordinates = [[ring.tolist() for ring in polygon] for polygon in polygons]
    if len(coordinates) == 1:  # QuPath refuses a MultiPolygon of one
        return {'type': 'Polygon', 'coordinates': coordinates[0]}
    return {'type': 'MultiPolygon', 'coordinates': coordinates}


def _simplified(polygons: list[Polygon], tolerance: float) -> dict[str, Any]:
    """Return the geometry with fewer points; each polygon stays valid."""
    import shapely  # only here: the exact outlines need no library

    exact = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]
    simple = [piece.simplify(tolerance) for piece in exact]
    pieces = [piece for piece in simple if isinstance(piece, shapely.Polygon)]  # all
    whole: BaseGeometry
    whole = pieces[0] if len(pieces) == 1 else shapely.MultiPolygon(pieces)
    if not whole.is_valid:  # parts that touched at a corner may now overlap
        whole = shapely.union_all(pieces)
    # outlines run as the exact ones do (RFC 7946), which simplify turns round
    parts = [shapely.geometry.polygon.orient(part) for part in shapely.get_parts(whole)]
    whole = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return shapely.geometry.mapping(whole)
