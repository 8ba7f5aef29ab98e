"""Time `mmseg-ftu prepare hubmap` against decoding its images alone.

    python benchmarks/preparation.py [--images 4] [--rounds 3]
    python benchmarks/preparation.py --images 351              # as in the competition

Images of 3000 x 3000 px to 768 px, with and without stains, by the real command in this
process; the target of the stains is one of the images. Decoding alone reads each file
once, by our reader or by tifffile. The command reads each twice, since it writes
nothing of a source with faults. All take turns, with one thread unless ``--workers``
says more. Images are cut from a real slide where it is there, else from drawn tissue,
and written as the competition's: uncompressed. They are 27 MB each, and mostly in the
system's cache; 351 take 9.5 GB of the disk.
"""

import argparse
import contextlib
import csv
import io
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import tifffile
from pipeline import HEADER, ORGANS, SIDE
from ratios import ratio_cell, ratios
from slide_inputs import tissue
from slides import REAL
from stopwatch import Stopwatch

from mmseg_ftu.cli import main as mmseg_ftu
from mmseg_ftu.io.images import read_image
from mmseg_ftu.masks import rle
from mmseg_ftu.preparation import checking, prepare_folder, records

SIZE = 768
#: Step -> functions, as owner and name.
STEPS = {
    'decoding, to check': [(checking, 'read_image')],
    'decoding': [(prepare_folder, 'read_image')],
    'masks from run lengths': [(records.RleMask, 'read')],
    'resizing and stains': [(prepare_folder, 'prepare_image')],
    'resizing masks': [(prepare_folder, 'resize_mask')],
    'writing PNGs': [(prepare_folder, 'write_png')],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--images', type=int, default=4)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--workers', type=int, default=1, help='threads')
    parser.add_argument('--work', type=Path, help='folder for the images')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        work = Path(folder)
        write_images(work / 'source', args.images)
        watches: dict[str, list[Stopwatch]] = {}
        found = run_rounds(make_contestants(work, args.workers, watches), args.rounds)
    print('\n'.join(table(found, args.images, args.workers)))
    for name, of_rounds in watches.items():
        print(f'\n{name}:\n\n' + '\n'.join(breakdown(of_rounds, args.images)))


def write_images(folder: Path, count: int) -> None:
    """Write the competition's layout: windows of tissue, discs as units."""
    rng = np.random.default_rng(0)
    piece, inside = tissue(REAL), np.arange(SIDE)
    (folder / 'train_images').mkdir(parents=True)
    rows = []
    for i in range(count):
        top, left = rng.integers(0, piece.shape[:2])
        image = piece.take(top + inside, axis=0, mode='wrap')
        image = image.take(left + inside, axis=1, mode='wrap')
        mask = np.zeros((SIDE, SIDE), np.uint8)
        for x, y, radius in rng.integers((300, 300, 100), (2700, 2700, 300), (8, 3)):
            cv2.circle(mask, (int(x), int(y)), int(radius), 1, -1)
        tifffile.imwrite(folder / f'train_images/{i}.tiff', image, photometric='rgb')
        organ = ORGANS[i % len(ORGANS)]
        rows.append([i, organ, 'HPA', SIDE, SIDE, 0.4, 4, rle.encode(mask), '', ''])
    with open(folder / 'train.csv', 'w', newline='') as file:
        csv.writer(file).writerows([HEADER.split(','), *rows])


def make_contestants(
    work: Path, workers: int, watches: dict[str, list[Stopwatch]]
) -> dict[str, Callable[[], None]]:
    """Return what takes turns, decoding first; the command fills in ``watches``."""
    source = work / 'source'
    files = sorted((source / 'train_images').iterdir())
    target = ['--stain-target', str(files[0])]
    run = partial(prepare, source, work, workers, watches)
    return {
        'decoding alone, our reader': lambda: [read_image(file) for file in files],
        'decoding alone, tifffile': lambda: [tifffile.imread(file) for file in files],
        'prepare hubmap': partial(run, 'prepare hubmap', []),
        'prepare hubmap --stain vahadane': partial(
            run, 'prepare hubmap --stain vahadane', ['--stain', 'vahadane', *target]
        ),
    }


def prepare(
    source: Path,
    work: Path,
    workers: int,
    watches: dict[str, list[Stopwatch]],
    name: str,
    options: list[str],
) -> None:
    """Run the command into a new folder, with its steps timed."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory(dir=work) as out, contextlib.ExitStack() as stack:
        for step, functions in STEPS.items():
            for owner, function in functions:
                stack.enter_context(watch.watching(owner, function, step))
        words = ['prepare', 'hubmap', str(source), f'{out}/prepared', '--folds', '2']
        words += ['--size', str(SIZE), '--workers', str(workers), *options]
        quiet = io.StringIO()
        stack.enter_context(contextlib.redirect_stdout(quiet))
        stack.enter_context(contextlib.redirect_stderr(quiet))
        if mmseg_ftu(words):
            raise RuntimeError(quiet.getvalue())
    watches.setdefault(name, []).append(watch)


def run_rounds(
    contestants: dict[str, Callable[[], None]], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each round; one more round warms up."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for i in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if i:
                found[name].append(time.perf_counter() - start)
    return found


def table(found: dict[str, list[float]], images: int, workers: int) -> list[str]:
    """Return the rows; decoding works in one thread, the command in ``workers``."""
    base = next(iter(found.values()))
    lines = ['| what | images/s per core | times decoding alone |', '|---|---|---|']
    for name, seconds in found.items():
        cores = 1 if name.startswith('decoding') else workers
        of_cores = [s * cores for s in seconds]
        rate = images / median(of_cores)
        lines.append(f'| {name} | {rate:.1f} | {ratio_cell(ratios(of_cores, base))} |')
    return lines


def breakdown(watches: list[Stopwatch], images: int) -> list[str]:
    """Return milliseconds an image of each step; the first round is left out."""
    lines = ['| step | ms an image |', '|---|---|']
    for step in STEPS:
        taken = median(watch.seconds[step] for watch in watches[1:])
        lines.append(f'| {step} | {1e3 * taken / images:.0f} |')
    return lines


if __name__ == '__main__':
    main()
