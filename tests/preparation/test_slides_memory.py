"""A large slide in a process of its own, whose memory is measured."""

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from small_slides import feature, write_annotations

ROOT = Path(__file__).resolve().parents[2]
SIDE = 512  # px of a TIFF's tile
CODE = """
import resource, sys
from mmseg_ftu.cli import run_command
code = run_command('prepare_slides', sys.argv[1:])
print('MiB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
raise SystemExit(code)
"""


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


def prepare(folder: Path, side: int, units: int) -> int:
    """Prepare two links to one slide; return the peak of memory, MiB."""
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
    words = [folder / 'slides', folder / 'annotations', folder / 'out']
    words += ['--pixel-size', '1', '--region', 'Region', '--organ', 'kidney']
    words += ['--folds', '2', '--workers', '2', '--negatives', '0.2']
    command = [sys.executable, '-c', CODE, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_slide(tmp_path):
    small = prepare(tmp_path / 'small', 4096, 8)
    large = prepare(tmp_path / 'large', 20_000, 200)  # 1.2 GB as an array
    assert large < small + 150
