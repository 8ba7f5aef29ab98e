"""Seconds and memory to read a large file of annotations, and to fill its outlines.

python benchmarks/annotations.py --objects 100000
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from peak_memory import peak_mib

from mmseg_ftu.masks.annotations import AnnotationFile
from mmseg_ftu.masks.fill_polygons import fill_polygons
from mmseg_ftu.masks.read_annotations import read_annotations

SIDE = 60_000  # px of the slide
POINTS = 40  # of an outline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--objects', type=int, default=100_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'cells.geojson'
        write_cells(path, parser.parse_args().objects)
        print(f'{path.stat().st_size / 1e6:.0f} MB of GeoJSON')
        found: list[AnnotationFile] = []
        report('read', lambda: found.append(read_annotations(path)))
    outlines = [annotation.outline for annotation in found[0].annotations]
    report('fill', lambda: fill_polygons(outlines, (SIDE, SIDE)))


def write_cells(path: Path, count: int) -> None:
    """Write cells as QuPath writes detections."""
    generator = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    with path.open('w') as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number in range(count):
            ring = generator.uniform(5, 30) * circle + generator.uniform(100, SIDE, 2)
            points = ring.round(2).tolist()
            feature = {
                'type': 'Feature',
                'geometry': {'type': 'Polygon', 'coordinates': [[*points, points[0]]]},
                'properties': {
                    'objectType': 'detection',
                    'classification': {'name': 'Cell', 'color': [1, 2, 3]},
                    'measurements': {'Area': 3.0, 'Mean': 0.5},
                },
            }
            file.write((',\n' if number else '') + json.dumps(feature))
        file.write(']}')


def report(name: str, call) -> None:
    start = time.perf_counter()
    memory = peak_mib(call)
    print(f'{name}: {time.perf_counter() - start:.1f} s, {memory:.0f} MiB', flush=True)


if __name__ == '__main__':
    main()
