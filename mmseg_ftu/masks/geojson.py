"""Objects as GeoJSON that QuPath opens as annotations or detections.

The format as of QuPath 0.4 (https://github.com/qupath/qupath/pull/1099; older versions
read it but for the measurements): ``objectType``, ``classification`` with a ``name``
and a ``color`` of three numbers 0..255, ``measurements`` as one JSON object, ids are
UUIDs. Coordinates are px of the full-size image, (0, 0) is its upper left corner
(https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html).

What the file itself is about (how exact its outlines are) stands in a member
``mmseg_ftu`` beside ``features``, which RFC 7946 (6.1) allows and readers pass over.

Deviation: objects are 8-connected, QuPath's own tools make 4-connected ones; parts that
touch at a corner only are one ``MultiPolygon``.
"""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_ftu.io.atomic_files import replacing
from mmseg_ftu.masks.draw_outlines import PREDICTION_COLOUR
from mmseg_ftu.masks.object_types import OBJECT_TYPES
from mmseg_ftu.masks.objects import Objects
from mmseg_ftu.masks.outlines import Polygon, trace_outlines

COMPRESSION = 6  # of gzip


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
    origin: tuple[int, int] = (0, 0),
) -> None:
    """Write a FeatureCollection with one feature an object.

    Written feature by feature; equal input gives an equal file.

    Args:
        path: The file, gzipped where its name ends with ``.gz``; an older one is
            replaced in one step.
        objects: The objects, of a mask at the original size.
        name: Name of QuPath's class, such as ``'glomerulus'``.
        colour: Colour of that class, RGB 0..255.
        object_type: ``'annotation'``, which people can edit, or ``'detection'``, which
            QuPath draws faster where there are thousands.
        pixel_size: Pixel size, um/px; areas are in px where it is None.
        mean_probability: Mean probability of each object, (N,), 0..1; left out where it
            is None.
        simplify: Leave out points, so that no outline is farther than this from the
            exact one, px; 0 keeps the pixels exactly.
        origin: Row and column of the mask where coordinates begin, px.

    Raises:
        ValueError: If the object type is unknown, ``simplify`` negative, or the count
            of probabilities differs from that of the objects.
    """
    if object_type not in OBJECT_TYPES:
        raise ValueError(f'object_type {object_type!r}: choose from {OBJECT_TYPES}')
    if not 0 <= simplify < np.inf:
        raise ValueError(f'simplify {simplify}: must be 0 px or more')
    if mean_probability is not None and len(mean_probability) != len(objects):
        raise ValueError(
            f'{len(mean_probability)} mean probabilities for {len(objects)} objects'
        )
    properties = {
        'objectType': object_type,
        'classification': {'name': name, 'color': list(colour)},
    }
    about = {'outlines': outline_record(simplify, pixel_size)}
    with _replaced_text(Path(path)) as file:
        file.write('{"type": "FeatureCollection", ')
        file.write(f'"mmseg_ftu": {json.dumps(about)}, "features": [')
        for i, polygons in enumerate(_outlines(objects, simplify)):
            mean = None if mean_probability is None else float(mean_probability[i])
            feature = {
                'type': 'Feature',
                'id': _identity(objects, i),
                'geometry': _geometry(polygons, origin),
                'properties': {
                    **properties,
                    'measurements': _measurements(objects.area[i], pixel_size, mean),
                },
            }
            file.write('\n' if i == 0 else ',\n')
            file.write(json.dumps(feature, separators=(',', ':')))
        file.write('\n]}\n')


def outline_record(simplify: float, pixel_size: float | None) -> dict[str, Any]:
    """Say how exact outlines are: largest distance from those of the pixels.

    Args:
        simplify: The distance, px.
        pixel_size: Pixel size, um/px; None leaves out the distance in um.
    """
    record: dict[str, Any] = {'kind': 'smooth' if simplify else 'exact'}
    record['largest_deviation_px'] = simplify
    if pixel_size is not None:
        record['largest_deviation_um'] = round(simplify * pixel_size, 6)
    return record


@contextmanager
def _replaced_text(path: Path) -> Iterator[io.TextIOBase]:
    """Open a text that replaces a file at the end, compressed as its name says."""
    with replacing(path) as temporary, temporary.open('wb') as raw:
        if path.suffix.lower() != '.gz':
            with io.TextIOWrapper(raw, 'utf-8') as text:
                yield text
            return
        with (  # without name and time, so that equal input gives an equal file
            gzip.GzipFile('', 'wb', COMPRESSION, raw, mtime=0) as packed,
            io.TextIOWrapper(packed, 'utf-8') as text,
        ):
            yield text


def _outlines(objects: Objects, simplify: float) -> Iterable[list[Polygon]]:
    exact = trace_outlines(objects)
    if not simplify:
        return exact
    # only here: the exact outlines need no shapely
    from mmseg_ftu.masks.smooth_outlines import smooth_outlines

    return smooth_outlines(exact, simplify)


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


def _geometry(polygons: list[Polygon], origin: tuple[int, int]) -> dict[str, Any]:
    """Return a GeoJSON geometry, ``MultiPolygon`` only where there are several."""
    start = np.array(origin[::-1])
    coordinates = [[(ring - start).tolist() for ring in rings] for rings in polygons]
    if len(coordinates) == 1:  # QuPath refuses a MultiPolygon of one
        return {'type': 'Polygon', 'coordinates': coordinates[0]}
    return {'type': 'MultiPolygon', 'coordinates': coordinates}
