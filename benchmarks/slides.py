"""Time slides end to end, from file to mask, against LazySlide and tiatoolbox.

    python benchmarks/slides.py --python lazyslide=ENV/bin/python tiatoolbox=...
    python benchmarks/slides.py --side 4096 --rounds 1          # ours alone, a minute

All contestants read one pyramidal TIFF, bring it to the same pixel size, cut it into
tiles of the same size and overlap, show all of them to the same network in the same
batches, and write what they find: ours a mask, tiatoolbox a zarr of classes, LazySlide
outlines. None looks for tissue, as all of the slide is. Each runs in a process of its
own, by turns, once with glibc's defaults and once with freed memory kept.

``--python`` names the Python that has a peer installed; README.md tells how to make
one. Who is not named does not take part. Tables: seconds of the whole process, those
from the loaded network to the written result, those of the network, and all but the
network; then where our own time goes.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from ratios import ratio_cell, ratios
from tissue_sets import DATA

HERE = Path(__file__).resolve().parent
REAL = DATA / 'stain_images/cmu_small_region.svs'
KEPT = dict(MALLOC_MMAP_THRESHOLD_=str(1 << 30), MALLOC_TRIM_THRESHOLD_=str(1 << 33))
SETTINGS = {
    "glibc's defaults": dict(MMSEG_FTU_KEEP_MEMORY='0'),
    'freed memory kept': KEPT,
}
PARTS = ('process', 'steady', 'network', 'rest')


def main() -> None:
    args = parse_args()
    pythons = {'ours': sys.executable, **dict(args.python)}
    with contextlib.ExitStack() as stack:
        work = args.work
        if work is None:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        job = make_job(args, work)
        for setting in args.settings:
            found = run_rounds(pythons, job, SETTINGS[setting], args.rounds, work)
            print(f'\n{setting}\n', flush=True)
            print('\n'.join(table(found, job['side'])), flush=True)
            print()
            print('\n'.join(breakdown(found['ours'])), flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--side', type=int, default=20000, help='of the slide, px')
    add('--rounds', type=int, default=3)
    add('--python', nargs='+', type=named, default=[], metavar='NAME=PATH')
    add('--pixel-size', type=float, default=0.5, help='of the network, um/px')
    add('--tile', type=int, default=512)
    add('--overlap', type=int, default=128)
    add('--batch', type=int, default=4)
    add('--threads', type=int, default=len(os.sched_getaffinity(0)))
    add('--workers', type=int, default=1, help='processes that read, of peers')
    add('--format', choices=('tif', 'svs'), default='tif', help='of the slide')
    add('--steps', type=int, default=60, help='of teaching the network')
    add('--settings', nargs='+', choices=SETTINGS, default=list(SETTINGS))
    add('--work', type=Path, help='folder that keeps slide, network and results')
    return parser.parse_args()


def named(text: str) -> tuple[str, str]:
    name, _, path = text.partition('=')
    if name not in ('lazyslide', 'tiatoolbox') or not Path(path).is_file():
        raise argparse.ArgumentTypeError(
            f'{text}: give lazyslide=PATH or tiatoolbox=PATH of a Python'
        )
    return name, path


def make_job(args: argparse.Namespace, work: Path) -> dict:
    """Make slide and network, where they are not there yet, and say what to do."""
    from slide_inputs import PIXEL_SIZE, teach, tissue, write_network, write_slide

    work.mkdir(parents=True, exist_ok=True)
    slide = work / f'slide_{args.side}.{args.format}'
    record = work / f'network_{args.pixel_size}_{args.steps}.json'
    if not (slide.is_file() and record.is_file()):
        piece = tissue(REAL)
        part = slide.with_name(f'part_{slide.name}')  # a killed run leaves that
        write_slide(part, piece, args.side)
        part.replace(slide)
        with contextlib.redirect_stdout(sys.stderr):  # mmengine tells what it loads
            cfg, weights = teach(piece, args.pixel_size, args.steps)
            record.write_text(json.dumps(write_network(work, cfg, weights)))
    names = 'side', 'pixel_size', 'tile', 'overlap', 'batch', 'threads', 'workers'
    options = {name: getattr(args, name) for name in names}
    print(f'slide: {slide.stat().st_size / 1e6:.0f} MB, {options}', flush=True)
    options['slide_pixel_size'] = PIXEL_SIZE
    return dict(slide=str(slide), **json.loads(record.read_text()), **options)


def run_rounds(
    pythons: dict[str, str], job: dict, setting: dict, rounds: int, work: Path
) -> dict[str, list[dict]]:
    """Let the contestants take turns; returns their results, one a round."""
    found: dict[str, list[dict]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            found[name].append(run_apart(name, python, job, setting, work))
    return found


def run_apart(name: str, python: str, job: dict, setting: dict, work: Path) -> dict:
    """Run a contestant in a process of its own.

    Returns:
        What it measured, with ``process`` (s), ``steady`` (s), ``rest`` (s) and
        ``peak`` (MiB, with its workers).

    Raises:
        SystemExit: If it fails.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        files = Path(folder, 'job.json'), Path(folder, 'result.json')
        files[0].write_text(json.dumps(job | dict(out=f'{folder}/out')))
        command = [python, '-W', 'ignore', str(HERE / 'slide_contestants.py'), name]
        environment = os.environ | setting | dict(OMP_NUM_THREADS=str(job['threads']))
        log = Path(work, f'{name}.log')
        start = time.perf_counter()
        with open(log, 'w') as out:
            child = subprocess.Popen(
                [*command, *map(str, files)], env=environment, stdout=out, stderr=out
            )
            peak = watch_memory(child)
        process = time.perf_counter() - start
        if child.returncode:
            raise SystemExit(f'{name} failed:\n{log.read_text()[-3000:]}')
        result = json.loads(files[1].read_text())
    network = result['steps']['network']
    result |= dict(process=process, steady=result['seconds'], network=network)
    return result | dict(rest=result['seconds'] - network, peak=peak)


def watch_memory(child: subprocess.Popen) -> float:
    """Wait for a process; returns the peak memory of it and its children in MiB."""
    peak, ended = 0.0, threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(0.2):
            peak = max(peak, sum(map(resident, family(child.pid))))

    watcher = threading.Thread(target=look)
    watcher.start()
    child.wait()
    ended.set()
    watcher.join()
    return peak / 1024


def family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    try:
        tasks = list(Path(f'/proc/{pid}/task').iterdir())
        words = ' '.join((task / 'children').read_text() for task in tasks).split()
    except OSError:  # it ended
        return []
    return [pid, *(x for word in words for x in family(int(word)))]


def resident(pid: int) -> int:
    """Return the memory of a process in KiB; what several share counts in parts."""
    try:
        lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith('Pss:'))


def table(found: dict[str, list[dict]], side: int) -> list[str]:
    """Return the rows of all contestants, ours first."""
    heads = ['contestant', 'torch', 'tiles', *(f'{part}, s' for part in PARTS)]
    heads += ['Mpx/s', *(f'{part}, times slower' for part in PARTS), 'peak, MiB']
    lines = ['| ' + ' | '.join(heads) + ' |', '|' + '---|' * len(heads)]
    for name, results in found.items():
        taken = {part: [result[part] for result in results] for part in PARTS}
        base = {part: [result[part] for result in found['ours']] for part in PARTS}
        cells = [name, results[0]['torch'], str(results[0]['tiles'])]
        cells += [f'{median(taken[part]):.1f}' for part in PARTS]
        cells.append(f'{side**2 / 1e6 / median(taken["steady"]):.2f}')
        for part in PARTS:
            is_ours = name == 'ours'
            cells.append('' if is_ours else ratio_cell(ratios(taken[part], base[part])))
        cells.append(f'{median(result["peak"] for result in results):.0f}')
        lines.append('| ' + ' | '.join(cells) + ' |')
    return lines


def breakdown(results: list[dict]) -> list[str]:
    """Return the table of our own steps; threads work at once, so more than 100 %."""
    steady = median(result['steady'] for result in results)
    lines = ['| step of ours | calls | s | share |', '|---|---|---|---|']
    steps = {
        step: median(result['steps'].get(step, 0) for result in results)
        for step in results[0]['steps']
    }
    for step, seconds in sorted(steps.items(), key=lambda item: -item[1]):
        calls = results[0]['calls'][step]
        lines.append(f'| {step} | {calls} | {seconds:.2f} | {seconds / steady:.0%} |')
    return lines


if __name__ == '__main__':
    main()
