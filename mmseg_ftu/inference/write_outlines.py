"""GeoJSON of a prediction: which objects, of which type, counted from where."""

from pathlib import Path
from typing import Any

from mmseg_ftu.inference.choices import MOST_ANNOTATIONS
from mmseg_ftu.inference.predictor import Prediction
from mmseg_ftu.masks.geojson import outline_record, write_geojson
from mmseg_ftu.masks.limit_objects import limit_objects
from mmseg_ftu.masks.objects import Objects, mean_probability


def write_outlines(
    path: Path,
    prediction: Prediction,
    objects: Objects,
    *,
    name: str,
    object_type: str = 'auto',
    simplify: float = 0.0,
    origin: str = 'bounds',
    most: int,
) -> dict[str, Any]:
    """Write the outlines of an image.

    Args:
        path: The file, ``.geojson`` or ``.geojson.gz``.
        prediction: The prediction.
        objects: Its objects.
        name: Name of their class in QuPath.
        object_type: Type of the objects in QuPath; ``'auto'`` takes annotations for up
            to 2000 objects, else detections.
        simplify: Largest distance of an outline from the exact one, px.
        origin: Where coordinates begin: at the scanned part of a slide (``'bounds'``),
            as in QuPath, or at the corner of the whole (``'slide'``).
        most: The most objects in the file.

    Returns:
        What the image's record adds: ``outlines`` and, where there is something that
        people should know, ``notes``.
    """
    pixel_size = prediction.map.pixel_size
    shown, left_out = limit_objects(objects, most)
    notes = [left_out.describe(len(objects), pixel_size)] if left_out else []
    if object_type == 'auto':
        object_type = 'annotation'
        if len(shown) > MOST_ANNOTATIONS:
            object_type = 'detection'
            notes.append(
                f'its {len(shown):,} objects are detections in QuPath, which draws '
                'them quickly; --object-type annotation makes them editable'
            )
    corner = prediction.loaded.scanned_from if origin == 'bounds' else (0, 0)
    write_geojson(
        path,
        shown,
        name=name,
        object_type=object_type,
        pixel_size=pixel_size,
        mean_probability=mean_probability(shown, prediction.map.strips()),
        simplify=simplify,
        origin=corner,
    )
    outlines = outline_record(simplify, pixel_size)
    outlines |= {'objects': len(shown), 'object_type': object_type, 'origin': corner}
    return {'outlines': outlines, 'notes': notes}
