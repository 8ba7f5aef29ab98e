"""Bytes, seconds and memory of GeoJSON, by the number of objects.

python benchmarks/geojson.py --objects 1000 10000 100000
python benchmarks/geojson.py --noise 2000 4000
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import shapely
from peak_memory import peak_mib

from mmseg_ftu.masks.geojson import write_geojson
from mmseg_ftu.masks.objects import Objects, find_objects
from mmseg_ftu.masks.read_annotations import read_annotations
from mmseg_ftu.masks.run_mask import RunMask

CELL = 64  # px of a square that holds one object
FILES = {
    'exact': ('a.geojson', 0.0),
    'smooth': ('b.geojson', 1.5),
    'smooth, gz': ('c.geojson.gz', 1.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--objects', type=int, nargs='*', default=[1000, 10_000], help='of 40 px')
    add('--noise', type=int, nargs='*', default=[], help='sides of salt and pepper, px')
    options = parser.parse_args()
    print('| objects | outlines | points | MB | s | MiB | s to read |')
    print('|---|---|---|---|---|---|---|')
    for count in options.objects:
        compare(find_objects(glands(count)))
    for side in options.noise:
        pixels = np.random.default_rng(0).random((side, side)) < 0.3
        compare(find_objects(RunMask.from_strips([pixels], pixels.shape)))


def glands(count: int) -> RunMask:
    """Return a mask of that many round objects with uneven borders, 40 px wide."""
    across = int(np.ceil(np.sqrt(count)))
    y, x = np.mgrid[:CELL, :CELL] - CELL / 2 + 0.5
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    generator = np.random.default_rng(0)
    kinds = []
    for _ in range(16):
        heights = generator.uniform(-2, 2, 4)
        bends = np.stack([np.sin(k * angle) for k in (2, 3, 5, 7)], axis=-1)
        waves = bends @ heights
        kinds.append((distance < 20 + waves).astype(np.uint8))
    strips = (
        np.concatenate(
            [
                kinds[k] if row * across + i < count else 0 * kinds[k]
                for i, k in enumerate(generator.integers(0, 16, across))
            ],
            axis=1,
        )
        for row in range(across)
    )
    return RunMask.from_strips(strips, (across * CELL, across * CELL))


def compare(objects: Objects) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, simplify) in FILES.items():
            path = Path(folder) / file
            start = time.perf_counter()
            memory = peak_mib(partial(write_geojson, path, objects, simplify=simplify))
            writing = time.perf_counter() - start
            size = path.stat().st_size / 1e6
            start = time.perf_counter()
            found = read_annotations(path).annotations
            reading = time.perf_counter() - start
            points = shapely.get_num_coordinates([a.outline for a in found]).sum()
            print(
                f'| {len(objects):,} | {name} | {points:,} | {size:.1f} '
                f'| {writing:.1f} | {memory:.0f} | {reading:.1f} |',
                flush=True,
            )


if __name__ == '__main__':
    main()
