"""Small slides with annotations, for tests."""

import json
from pathlib import Path

import numpy as np
import shapely
import tifffile

SHAPE = (400, 520)
PIXEL_SIZE = 0.5  # um/px


def write_slide(path: Path, shape=SHAPE, seed=0, pixel_size=PIXEL_SIZE) -> np.ndarray:
    """Write a TIFF: tissue on the left four fifths, glass on the right; return it."""
    generator = np.random.default_rng(seed)
    image = np.full((*shape, 3), 244, np.uint8)
    width = shape[1] * 4 // 5
    coarse = generator.integers(-50, 30, (shape[0] // 8 + 1, width // 8 + 1, 3))
    tissue = coarse.repeat(8, axis=0).repeat(8, axis=1)[: shape[0], :width]
    image[:, :width] = np.clip(tissue + [200, 120, 170], 0, 255)
    path.parent.mkdir(parents=True, exist_ok=True)
    per_cm = None if pixel_size is None else (1e4 / pixel_size,) * 2
    unit = None if pixel_size is None else 'CENTIMETER'
    tifffile.imwrite(path, image, resolution=per_cm, resolutionunit=unit)
    return image


def feature(outline: shapely.Geometry, class_name: str | None = 'Unit', **properties):
    """Return a feature of an outline."""
    entry = {'classification': {'name': class_name}} if class_name else {}
    geometry = shapely.geometry.mapping(outline)
    return {
        'type': 'Feature',
        'geometry': geometry,
        'properties': {'objectType': 'annotation', **entry, **properties},
    }


def write_annotations(path: Path, *features) -> Path:
    """Write a FeatureCollection."""
    path.parent.mkdir(parents=True, exist_ok=True)
    collection = {'type': 'FeatureCollection', 'features': features}
    path.write_text(json.dumps(collection))
    return path


UNITS = [
    shapely.Point(90, 110).buffer(50),
    shapely.Point(250.3, 260.7).buffer(41.7).difference(
        shapely.Point(255, 262).buffer(17.2)
    ),
    shapely.box(300, 40, 341.5, 77.25),
    shapely.box(341.5, 40, 380, 77.25),  # it touches the former
]  # fmt: skip


def write_slides(folder: Path, names=('a', 'b', 'c'), **options) -> Path:
    """Write slides and their annotations; return the folder."""
    for seed, name in enumerate(names):
        write_slide(folder / 'slides' / f'{name}.tif', seed=seed, **options)
        annotations = [feature(unit) for unit in UNITS]
        write_annotations(folder / 'annotations' / f'{name}.geojson', *annotations)
    return folder
