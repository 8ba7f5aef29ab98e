"""Large pyramidal slides with annotations, for tests."""

import zlib
from pathlib import Path

import numpy as np
import shapely
import tifffile
from small_slides import feature, write_annotations

SIDE = 512  # px of a TIFF's tile


def write_pyramid(path: Path, side: int) -> None:
    """Write a pyramid of three levels: tissue, and glass in its upper half."""
    generator = np.random.default_rng(0)
    noise = generator.integers(-40, 20, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0)
    tissue = (noise.repeat(4, 1) + [200, 120, 170]).astype(np.uint8)
    kinds = [np.full_like(tissue, 245), tissue]
    packed = [zlib.compress(kind.tobytes(), 1) for kind in kinds]

    def tiles(length):
        count = -(-length // SIDE)
        return (packed[row >= count // 2] for row in range(count) for _ in range(count))

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, scale in enumerate((1, 4, 16)):
            length = side // scale
            file.write(
                tiles(length),
                shape=(length, length, 3),
                dtype=np.uint8,
                tile=(SIDE, SIDE),
                photometric='rgb',
                compression='adobe_deflate',
                subifds=2 if level == 0 else None,
                subfiletype=int(level > 0),
                resolution=(4e4, 4e4),
                resolutionunit='CENTIMETER',
            )


def write_large_slides(folder: Path, side: int, units: int) -> None:
    """Write two links to one slide of .25 um/px, annotated in its upper nine tenths."""
    (folder / 'slides').mkdir(parents=True)
    write_pyramid(folder / 'slides' / 'a.tif', side)
    (folder / 'slides' / 'b.tif').symlink_to(folder / 'slides' / 'a.tif')
    generator = np.random.default_rng(0)
    centres = generator.uniform([0, side / 2], side, (units, 2))
    discs = shapely.buffer(shapely.points(centres), 200)
    region = feature(shapely.box(0, 0, side, side * 0.9), 'Region')
    for name in 'ab':
        path = folder / 'annotations' / f'{name}.geojson'
        write_annotations(path, region, *map(feature, discs))
