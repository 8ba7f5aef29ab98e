"""Read files of annotations: GeoJSON of QuPath and others, ROIs of ImageJ.

QuPath's format changed over the years. Read are that of 0.2 (a bare list; ``colorRGB``;
``measurements`` as a list), that of 0.3 (``FeatureCollection``; ``objectType``), and
that of 0.4 to 0.6 (``measurements`` as an object; ``names`` of derived classes); see
https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely

from mmseg_ftu.masks.annotations import Annotation, AnnotationFile, mend_outlines
from mmseg_ftu.masks.geojson_features import iterate_features
from mmseg_ftu.masks.imagej_rois import read_rois

SUFFIXES = ('.geojson', '.json', '.geojson.gz', '.json.gz', '.zip', '.roi')
ROI_SUFFIXES = ('.zip', '.roi')
FARTHEST = 1e9  # px; slides have up to some 1e6
GZIP = b'\x1f\x8b'
AREA_UM2 = ('Area \u00b5m^2', 'Area um^2')  # what QuPath calls it
MEAN = ('Mean probability',)  # what ``geojson`` writes
NO_AREA, NO_SHAPE = 'outline without area', 'object without geometry'


class _Found(NamedTuple):
    """An object of a file, not mended yet; without outline it is left out by kind."""

    outline: shapely.Geometry | None
    kind: str
    class_name: str = ''
    name: str = ''
    area_um2: float | None = None
    mean_probability: float | None = None


def read_annotations(path: Path) -> AnnotationFile:
    """Read a file of annotations.

    Args:
        path: GeoJSON, plain or gzipped, or ROIs of ImageJ (``.roi``, ``.zip``).

    Raises:
        ValueError: If the file is of another kind, damaged, or has coordinates that are
            not numbers; the message names the object.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        raise ValueError(
            f'{path}: is not a file of annotations; export GeoJSON (in QuPath: File, '
            'Export objects as GeoJSON)'
        )
    try:
        is_roi = name.endswith(ROI_SUFFIXES)
        return _collect(path, _rois(path) if is_roi else _features(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: {_fault_of(error)}') from error


def stem_of(path: Path) -> str:
    """Return the name of a file of annotations without what tells its kind."""
    name = path.name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), '')
    for end in (suffix, suffix.removesuffix('.gz')):
        if end and name.lower().endswith(end):
            return name[: len(name) - len(end)]
    return path.stem


def _fault_of(error: Exception) -> str:
    """Say what is wrong with a file that cannot be decoded."""
    if isinstance(error, json.JSONDecodeError):
        return (
            f'is damaged or cut off at character {error.pos + 1:,} ({error.msg}): '
            'export it again'
        )
    if isinstance(error, UnicodeDecodeError):
        return (
            f'is not text in UTF-8, as byte {error.start + 1:,} shows: export it '
            'again, or save it in UTF-8'
        )
    if isinstance(error, RecursionError):
        return 'is nested too deeply for GeoJSON: export it again'
    return str(error)


def _collect(path: Path, found: Iterable[_Found]) -> AnnotationFile:
    """Mend the outlines and count what has none."""
    kept, shapes, left_out = [], [], Counter[str]()
    for number, one in enumerate(found, start=1):
        if one.outline is None:
            left_out[one.kind] += 1
        else:
            kept.append((number, one))
            shapes.append(one.outline)
    outlines, mended = mend_outlines(shapes)
    areas = shapely.area(outlines)
    annotations = [
        Annotation(
            outline,
            one.class_name,
            one.name,
            number,
            _scale(one, area),
            one.mean_probability,
        )
        for (number, one), outline, area in zip(kept, outlines, areas, strict=True)
        if outline is not None
    ]
    if empty := len(kept) - len(annotations):
        left_out[NO_AREA] += empty
    return AnnotationFile(path, tuple(annotations), mended, dict(left_out))


def _scale(found: _Found, area: float) -> float | None:
    """Return the pixel size that the measured area tells, um/px."""
    if found.area_um2 is None or not found.area_um2 > 0:
        return None
    return float(np.sqrt(found.area_um2 / area))


def _rois(path: Path) -> Iterator[_Found]:
    for name, kind, outline in read_rois(path):
        yield _Found(outline, kind, name=name)


def _features(path: Path) -> Iterator[_Found]:
    for number, feature in enumerate(iterate_features(_read_text(path)), start=1):
        try:
            yield _found_in(feature)
        except ValueError as error:
            raise ValueError(f'object {number}: {error}; export it again') from error
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(
                f'object {number}: it is not built like GeoJSON ({error}); export it '
                'again'
            ) from error


def _read_text(path: Path) -> str:
    """Read a text, unpacked if it is gzipped, whatever its name."""
    content = path.read_bytes()
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f'is a damaged gzip file ({error})') from error
    if not content.strip():
        raise ValueError('is empty; export it again')
    return content.decode('utf-8-sig')


def _found_in(feature: Mapping[str, Any]) -> _Found:
    """Return the object of a feature."""
    geometry = feature.get('geometry')
    if not geometry:
        return _Found(None, NO_SHAPE)
    kind = str(geometry['type'])
    if kind not in ('Polygon', 'MultiPolygon'):
        return _Found(None, kind)
    _refuse_planes(geometry.get('plane') or {})
    coordinates = geometry['coordinates']
    polygons = [coordinates] if kind == 'Polygon' else coordinates
    parts = [part for part in map(_polygon, polygons) if part is not None]
    if not parts:
        return _Found(None, NO_AREA)
    outline = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    properties = feature.get('properties') or {}
    name = properties.get('name') or ''
    measurements = properties.get('measurements') or ()
    area, mean = _measured(measurements, AREA_UM2), _measured(measurements, MEAN)
    return _Found(outline, kind, class_of(properties), str(name), area, mean)


def _polygon(rings: list[list[list[float]]]) -> shapely.Polygon | None:
    """Return a polygon of an outline and its holes; None if it has no three points."""
    arrays = [_points(ring) for ring in rings if len(ring) >= 3]
    if not arrays or len(rings[0]) < 3:
        return None
    return shapely.Polygon(arrays[0], arrays[1:])


def _points(ring: list[list[float]]) -> np.ndarray:
    """Return the points of an outline, ``(N, 2)``.

    Raises:
        ValueError: If they are not pairs of numbers that can lie on a slide.
    """
    try:
        found = np.array(ring)
    except ValueError:  # points of different lengths
        found = np.zeros(0)
    is_number = found.dtype.kind in 'iuf'  # texts, and numbers beyond 64 bits, are not
    is_pair = found.ndim == 2 and found.shape[1] >= 2
    if not is_number or not is_pair or not np.isfinite(found).all():
        raise ValueError('its coordinates are not pairs of finite numbers')
    points = found[:, :2].astype(np.float64)
    farthest = np.abs(points).max()
    if farthest > FARTHEST:
        raise ValueError(
            f'its coordinates reach to {farthest:.3g}, and no slide has more than '
            f'{FARTHEST:.0g} px'
        )
    return points


def class_of(properties: Mapping[str, Any]) -> str:
    """Return the class of an object as QuPath shows it, '' if it has none.

    Args:
        properties: Properties of a GeoJSON feature. The class is an object with
            ``name`` or ``names``, or a plain string, as other programs write it.
    """
    entry = properties.get('classification')
    if isinstance(entry, Mapping):
        names = entry.get('names') or [entry.get('name') or '']
        return ': '.join(map(str, names))
    return str(entry or '')


def _measured(measurements: object, names: Iterable[str]) -> float | None:
    """Return the first measurement of some names, of old and new files."""
    if not isinstance(measurements, Mapping):
        entries = measurements if isinstance(measurements, list) else []
        measurements = {e['name']: e['value'] for e in entries if 'value' in e}
    found = (measurements.get(name) for name in names)
    return next((float(value) for value in found if value is not None), None)


def _refuse_planes(plane: Mapping[str, Any]) -> None:
    """Raise where an object lies in a plane of a stack."""
    place = {axis: plane.get(axis, 0) for axis in 'zt' if plane.get(axis, 0)}
    if place:
        raise ValueError(
            f'it lies in the plane {place} of a stack, and an image of one plane is '
            'expected'
        )
