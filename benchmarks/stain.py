"""Time stain normalisation against staintools, tiatoolbox and torchstain.

    python benchmarks/stain.py [--sizes 768 1500 3000] [--rounds 5] [--threads 1]
    python benchmarks/stain.py --source a.png --target b.png     # real images

Contestants take turns in every round, in one process, and what counts is the ratio to
staintools within a round. Steps: `fit` a target, `transform` a source, and `cached`,
transform with the source's fit at hand (for the others, that is transform itself). Peak
memory is what the process takes above the loaded image, each in a process of its own.
Images are mirrored up to the size; without files, a section is made up. A step that
takes longer than ten seconds is not repeated. Needs ``pip install
'mmseg_ftu[staintools]'``; tiatoolbox and torchstain are timed where they are installed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import staintools
import torch

from mmseg_ftu.stain import Fit, MacenkoNormalizer, VahadaneNormalizer

try:
    import torchstain
except ImportError:
    torchstain = None
try:
    from tiatoolbox.tools import stainnorm as tiatoolbox
except ImportError:
    tiatoolbox = None

LONG = 10  # s, a step that takes longer is timed once

Steps = dict[str, Callable[[], object]]


def made_up(seed: int, stains: list[list[float]]) -> np.ndarray:
    """Return a noisy section of two stains, 1000 x 1000 px, RGB."""
    rng = np.random.default_rng(seed)
    amounts = cv2.GaussianBlur(rng.gamma(1.2, 0.5, (1000, 1000, 2)), (3, 3), 0)
    amounts *= rng.random((1000, 1000, 2)) < 0.6
    amounts[:200] = 0
    light = 255 * np.exp(-amounts @ np.array(stains))
    return np.clip(light + rng.normal(0, 3, light.shape), 0, 255).astype(np.uint8)


def load(path: Path | None, size: int, made: np.ndarray) -> np.ndarray:
    """Return an RGB image of ``size`` px, mirrored or cropped."""
    image = made
    if path is not None:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    while min(image.shape[:2]) < size:
        image = np.concatenate([image, image[::-1]])
        image = np.concatenate([image, image[:, ::-1]], axis=1)
    return np.ascontiguousarray(image[:size, :size])


def contestants(source: np.ndarray, target: np.ndarray) -> dict[str, Steps]:
    """Return the steps of each contestant; all targets are fitted."""
    ours = {}
    for name, kind in (
        ('Vahadane', VahadaneNormalizer),
        ('Macenko', MacenkoNormalizer),
    ):
        ours[f'ours, {name}'] = our_steps(kind(on_failure='raise'), source, target)
    theirs = {
        f'staintools, {name}': library_steps(
            staintools.StainNormalizer(name.lower()), source, target
        )
        for name in ('Vahadane', 'Macenko')
    }
    if tiatoolbox is not None:
        for kind in (tiatoolbox.VahadaneNormalizer, tiatoolbox.MacenkoNormalizer):
            name = f'tiatoolbox, {kind.__name__.removesuffix("Normalizer")}'
            theirs[name] = library_steps(kind(), source, target)
    if torchstain is not None:
        theirs['torchstain, Macenko'] = torchstain_steps(source, target)
    return {**ours, **theirs}


def our_steps(normalizer, source: np.ndarray, target: np.ndarray) -> Steps:
    normalizer.fit(target)

    @cache
    def fit() -> Fit:
        return normalizer.fit_source(source)

    return {
        'fit': lambda: normalizer.fit(target),
        'transform': lambda: normalizer.transform(source),
        'cached': lambda: normalizer.apply(source, fit()),
    }


def library_steps(normalizer, source: np.ndarray, target: np.ndarray) -> Steps:
    """Return the steps of staintools or tiatoolbox."""
    normalizer.fit(target)
    return {
        'fit': lambda: normalizer.fit(target),
        'transform': lambda: normalizer.transform(source),
    }


def torchstain_steps(source: np.ndarray, target: np.ndarray) -> Steps:
    normalizer = torchstain.normalizers.MacenkoNormalizer(backend='torch')
    source, target = (torch.from_numpy(x).permute(2, 0, 1) for x in (source, target))
    normalizer.fit(target)
    return {
        'fit': lambda: normalizer.fit(target),
        'transform': lambda: normalizer.normalize(source, stains=False),
    }


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak_memory(name: str, args: argparse.Namespace) -> None:
    """Print the MiB that one transform takes above the loaded image."""
    source, target = images(args, args.sizes[0])
    middle = slice(args.sizes[0] // 2 - 128, args.sizes[0] // 2 + 128)
    small = target[middle, middle]
    contestants(small, small)[name]['transform']()  # imports and buffers of libraries
    step = contestants(source, small)[name]['transform']
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts here
    before = status('VmRSS')
    step()
    print(json.dumps((status('VmHWM') - before) / 1024))


def status(key: str) -> int:
    """Return an entry of the process's memory, KiB (Linux)."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def images(args: argparse.Namespace, size: int) -> tuple[np.ndarray, np.ndarray]:
    return (
        load(args.source, size, made_up(0, [[0.5, 0.75, 0.43], [0.1, 0.95, 0.25]])),
        load(args.target, size, made_up(1, [[0.65, 0.70, 0.29], [0.27, 0.90, 0.34]])),
    )


def compare(args: argparse.Namespace, size: int) -> None:
    """Print the table of one size."""
    source, target = images(args, size)
    steps = contestants(source, target)
    times = {name: {step: [] for step in of} for name, of in steps.items()}
    for _ in range(args.rounds):
        for name, of in steps.items():
            for step, call in of.items():
                if not times[name][step] or times[name][step][-1] < LONG:
                    times[name][step].append(seconds(call))
    base = times['staintools, Vahadane']
    base = {**base, 'cached': base['transform']}
    memory = {name: measure(name, args, size) for name in steps}
    for name, of in times.items():
        row = [cell(of.get(step), base[step]) for step in base]
        share = memory[name] / memory['staintools, Vahadane']
        row.append(f'{memory[name]:.0f} MiB ({share:.2f})')
        print(f'| {size} | {name} | ' + ' | '.join(row) + ' |', flush=True)


def cell(ours: list[float] | None, base: list[float]) -> str:
    """Return the median time and how many times as fast as staintools it is."""
    if ours is None:
        return ''
    ratio = median(b / o for o, b in zip(ours, base, strict=False))
    return f'{1000 * median(ours):.1f} ms ({ratio:.1f}x)'


def measure(name: str, args: argparse.Namespace, size: int) -> float:
    """Return the peak memory of a contestant, MiB, from a fresh process."""
    command = [sys.executable, __file__, '--memory', name, '--sizes', str(size)]
    command += ['--threads', str(args.threads)]
    for key in ('source', 'target'):
        if getattr(args, key):
            command += [f'--{key}', str(getattr(args, key))]
    environ = {**os.environ, 'MALLOC_MMAP_THRESHOLD_': '65536'}  # hand memory back
    result = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environ
    )
    return json.loads(result.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sizes', type=int, nargs='+', default=[768, 1500, 3000])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=1, help='ours; SPAMS takes all')
    parser.add_argument('--source', type=Path)
    parser.add_argument('--target', type=Path)
    parser.add_argument('--memory', metavar='NAME', help=argparse.SUPPRESS)
    args = parser.parse_args()
    cv2.setNumThreads(args.threads)
    torch.set_num_threads(args.threads)
    if args.memory:
        peak_memory(args.memory, args)
        return
    print(f'{platform.processor() or platform.machine()}, {args.threads} threads')
    print('| px | contestant | fit | transform | cached | peak memory |')
    print('|---|---|---|---|---|---|')
    for size in args.sizes:
        compare(args, size)


if __name__ == '__main__':
    main()
