"""What it gives that our tools tell glibc to keep freed memory.

    python benchmarks/allocator.py [--rounds 3] [--only train predict prepare]

Whole processes of ``tools/``, with ``MMSEG_FTU_KEEP_MEMORY`` 0 and 1 by turns, on real
tissue of ``MMSEG_FTU_DATA`` (default ``../shared/data``).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tissue_sets import DATA, SETS, prepare

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/tissue/resnet18_unet.py'
KIDNEY = DATA / 'kidney_glomeruli_he_pas_roi'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument(
        '--epochs', type=int, default=5, help='of a training, at least 2'
    )
    parser.add_argument('--images', type=int, help='to predict (all)')
    everything = ['train', 'predict', 'prepare']
    parser.add_argument('--only', nargs='+', default=everything, choices=everything)
    args = parser.parse_args()
    print('| what | as it is, s | kept, s | times slower | peak, MiB | kept, MiB |')
    print('|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        glas = prepare(SETS['glas'], work / 'glas')
        os.environ |= dict(FTU_DATA=str(glas.prepared), FOLD='0')
        commands = make_commands(work, glas.prepared, args.epochs, args.images)
        for name in args.only:
            print(compare(name, commands[name], work / 'out', args.rounds), flush=True)


def make_commands(
    work: Path, prepared: Path, epochs: int, images: int | None
) -> dict[str, list[str]]:
    """Return the commands; each writes into ``out``."""
    out, shown = str(work / 'out'), work / 'shown'
    shown.mkdir()
    for path in sorted((prepared / 'images').iterdir())[:images]:
        shutil.copy(path, shown)
    quick = ['--cfg-options', f'train_cfg.val_interval={epochs}']
    train = ['train', CONFIG, '--epochs', str(epochs), *quick, '--work-dir']
    trained = work / 'trained'
    tool(*train, str(trained))
    checkpoint = trained / f'epoch_{epochs}.pth'
    return {
        'train': [*train, out],
        'predict': [
            *('predict', CONFIG, str(checkpoint)),
            *('--input', str(shown), '--output', out),
        ],
        'prepare': [
            *('prepare_pairs', str(KIDNEY), out),
            *('--size', '768', '--organ', 'kidney'),
        ],
    }


def compare(name: str, command: list[str], out: Path, rounds: int) -> str:
    found: dict[str, list[tuple[float, float]]] = {'0': [], '1': []}
    for _ in range(rounds):
        for keep, measured in found.items():
            shutil.rmtree(out, ignore_errors=True)
            measured.append(clock(lambda: tool(*command), keep))
    (slow, slow_peak), (kept, kept_peak) = (
        [median(values) for values in zip(*measured, strict=True)]
        for measured in found.values()
    )
    ratios = [a[0] / b[0] for a, b in zip(found['0'], found['1'], strict=True)]
    return (
        f'| {name} | {slow:.1f} | {kept:.1f} | {median(ratios):.2f} '
        f'({min(ratios):.2f} to {max(ratios):.2f}) | {slow_peak:.0f} '
        f'| {kept_peak:.0f} |'
    )


def clock(call: Callable[[], int], keep: str) -> tuple[float, float]:
    """Return seconds and peak resident memory in MiB of a child process."""
    os.environ['MMSEG_FTU_KEEP_MEMORY'] = keep
    start = time.perf_counter()
    peak = call()
    return time.perf_counter() - start, peak / 1024


def tool(name: str, *arguments: str) -> int:
    """Run a tool; return the peak of its resident memory in KiB.

    Raises:
        SystemExit: If it fails, with the end of what it said.
    """
    command = [sys.executable, '-W', 'ignore', f'tools/{name}.py', *arguments]
    with tempfile.TemporaryFile('w+') as said:
        child = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        _, status, usage = os.wait4(child.pid, 0)
        if status:
            said.seek(0)
            raise SystemExit(f'failed: {" ".join(command)}\n{said.read()[-2000:]}')
    return usage.ru_maxrss


if __name__ == '__main__':
    main()
