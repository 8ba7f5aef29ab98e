"""Seconds, memory and bytes of a slide's TIFF, with and without smaller levels.

python benchmarks/pyramid.py --sides 8192 20000
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from geojson import CELL, glands
from peak_memory import peak_mib

from mmseg_ftu.io.tiled_tiff import PYRAMID_FROM, write_tiled_tiff

STRIP = 512  # px
FILES = {'flat': 10**9, 'pyramid': PYRAMID_FROM}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sides', type=int, nargs='+', default=[8192], help='px')
    print('| px | what | file | s | MiB | MB |')
    print('|---|---|---|---|---|---|')
    for side in parser.parse_args().sides:
        for what, make in (('mask', mask), ('probabilities', probabilities)):
            for name, pyramid_from in FILES.items():
                report(side, what, name, partial(make, side), pyramid_from)


def mask(side: int) -> tuple[Iterator[np.ndarray], tuple[int, int]]:
    """Return a mask full of glands in strips."""
    runs = glands((side // CELL) ** 2)
    return (strip * np.uint8(255) for strip in runs.strips()), runs.shape


def probabilities(side: int) -> tuple[Iterator[np.ndarray], tuple[int, int]]:
    """Return a smooth map in strips."""
    noise = np.random.default_rng(0).random((STRIP, side), np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    strip = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    strips = (strip[: min(STRIP, side - y)] for y in range(0, side, STRIP))
    return strips, (side, side)


def report(side: int, what: str, name: str, make, pyramid_from: int) -> None:
    strips, shape = make()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'a.tif'
        options = dict(labels=what == 'mask', pyramid_from=pyramid_from)
        start = time.perf_counter()
        call = partial(write_tiled_tiff, path, strips, shape, 0.5, **options)
        memory, seconds = peak_mib(call), time.perf_counter() - start
        size = path.stat().st_size / 1e6
    print(f'| {side} | {what} | {name} | {seconds:.1f} | {memory:.0f} | {size:.1f} |')


if __name__ == '__main__':
    main()
