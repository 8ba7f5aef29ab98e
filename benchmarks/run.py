"""Run all benchmarks in one go, within a number of minutes.

    python benchmarks/run.py --minutes 60 --out bench [--only predict slides]
    python benchmarks/run.py --minutes 60 --out bench --resume

They run in the order of `BENCHMARKS`, the most important first, each as long as it is
expected to end within the minutes that are left; the others are listed as left out, and
one that takes far longer than expected is ended. The folder gets ``bench.md``, a page
with the machine, its versions and settings and all tables, and ``bench.json`` with the
same and each ratio as numbers. Both are written anew after each benchmark; those of an
earlier run are renamed. With ``--resume`` they are read first: what was done on this
machine, with this code and these versions and settings, stays, and the others run. Ends
with exit code 1 if one failed.
"""

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from machine import describe_machine
from result_tables import ratios_of, read_rows

from mmseg_ftu.io.atomic_files import write_bytes
from mmseg_ftu.io.own_files import set_aside

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('MMSEG_FTU_DATA', ROOT.parent / 'shared' / 'data'))
RESULTS = ('bench.md', 'bench.json')
PATIENCE = 2  # times the minutes that a benchmark is expected to take
NOISE = ('Could not import OneDL',)  # mmseg prints that
KEPT = {  # glibc keeps freed memory then
    'MALLOC_MMAP_THRESHOLD_': str(2**32),
    'MALLOC_TRIM_THRESHOLD_': str(2**33),
}


@dataclass(frozen=True)
class Benchmark:
    """A script with its options.

    Attributes:
        name: What ``--only`` calls it.
        words: Script and options; ``{data}`` stands for the folder of real tissue,
            ``{out}`` for that of the results.
        minutes: What it takes on two idle cores, roughly.
        environment: Variables that are set for it.
    """

    name: str
    words: str
    minutes: float
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, out: Path, pythons: Sequence[str] = ()) -> list[str]:
        """Return the words of the command, after the Python.

        Args:
            out: Folder of the results.
            pythons: NAME=PATH of the peers of slides.
        """
        return self._words(str(DATA), str(out.resolve()), pythons)

    def shown(self, pythons: Sequence[str] = ()) -> list[str]:
        """Return the command as a page shows it, without the places of a machine."""
        names = [text.partition('=')[0] for text in pythons]
        return self._words(
            '$MMSEG_FTU_DATA', 'OUT', [f'{name}=PYTHON' for name in names]
        )

    def _words(self, data: str, out: str, pythons: Sequence[str]) -> list[str]:
        script, *options = shlex.split(self.words)
        words = [word.format(data=data, out=out) for word in options]
        if script == 'slides' and pythons:
            words += ['--python', *pythons]
        return [f'benchmarks/{script}.py', *words]


BENCHMARKS = [
    Benchmark('train_step', 'train_step --rounds 2', 13),
    Benchmark('inference', 'inference --rounds 3', 5),
    Benchmark('train_step kept', 'train_step --rounds 2', 11, KEPT),
    Benchmark('inference kept', 'inference --rounds 3', 4, KEPT),
    Benchmark('predict', 'predict --images 8 --rounds 5', 3),
    Benchmark('slides', 'slides --rounds 3 --side 4096', 8),
    Benchmark('preparation', 'preparation', 2),
    Benchmark('pipeline', 'pipeline', 2),
    Benchmark('startup', 'startup', 2),
    Benchmark('attention', 'attention', 2),
    Benchmark('share', 'predict --share --images 4', 2),
    Benchmark('memory', 'predict --memory 5000 10000 20000', 2),
    Benchmark('large slides', 'slides --rounds 1 --settings "freed memory kept"', 15),
    Benchmark('allocator', 'allocator --rounds 2 --epochs 2 --images 16', 12),
    Benchmark('stain', 'stain --sizes 768', 3),
    Benchmark('convolutions', 'convolutions', 3),
    Benchmark('pyramid', 'pyramid --sides 8192', 1),
    Benchmark('geojson', 'geojson', 1),
    Benchmark('annotations', 'annotations', 2),
    Benchmark('stain_canvas', 'stain_canvas', 0.5),
    Benchmark('touching_units', 'touching_units {data}/glas_bench/masks', 1),
    Benchmark('study_simulation', 'study_simulation --studies 1000', 30),
    Benchmark('tile_agreement', 'tile_agreement --steps 1000', 15),
    Benchmark('accuracy', 'accuracy --minutes 10 --records {out}/accuracy', 3000),
]


@dataclass
class Run:
    """What became of a benchmark.

    Attributes:
        name: Its name.
        command: Its words as a page shows them, after the Python.
        environment: Variables that were set for it.
        status: ``done``, ``failed``, ``ended`` or ``left out``, with the reason.
        seconds: How long it took.
        output: What it printed.
    """

    name: str
    command: list[str]
    status: str
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    output: str = ''
    rows: list[dict[str, str]] = field(default_factory=list)
    ratios: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = list(read_rows(self.output))
        self.ratios = [
            dict(row=row, column=column, **ratio._asdict())
            for row in self.rows
            for column, ratio in ratios_of(row).items()
        ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = [benchmark.name for benchmark in BENCHMARKS]
    add('--minutes', type=float, default=60)
    add('--out', type=Path, default=Path('bench'), help='folder to write')
    add('--resume', action='store_true', help='keep what is done in the folder')
    add('--only', nargs='+', choices=names, metavar='NAME', help=', '.join(names))
    peer = dict(type=resolved, metavar='NAME=PATH', help='see slides.py')
    add('--python', nargs='+', default=[], **peer)
    args = parser.parse_args()
    if not 0 < args.minutes < float('inf'):
        parser.error(f'--minutes {args.minutes:g}: give a number above 0')
    machine = describe_machine()
    try:
        earlier = {}
        if args.resume:
            before, earlier = read_earlier(args.out, machine)
            machine['load'] = f'{before["load"]}; resumed at {machine["load"]}'
        keep_earlier(args.out)
        write(args.out, machine, in_order(earlier))  # a disk that is full shows now
    except (OSError, ValueError) as error:
        parser.error(f'--out: {error}')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return run_all(args, machine, earlier)
    except KeyboardInterrupt:
        print(f'stopped; what was done is in {args.out}', file=sys.stderr)
        return 130


def resolved(text: str) -> str:
    """Return NAME=PATH with a whole path, since scripts run elsewhere."""
    name, _, path = text.partition('=')
    if not (name and Path(path).is_file()):
        raise argparse.ArgumentTypeError(f'{text}: there is no such file')
    return f'{name}={Path(path).absolute()}'  # a link of an environment stays a link


def keep_earlier(folder: Path) -> None:
    """Rename results that are there, so that nothing of anybody is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        if (folder / name).exists():
            print(f'{folder / name} is kept as {set_aside(folder, name, "earlier")}')


def read_earlier(
    folder: Path, machine: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, 'Run']]:
    """Return the machine of an earlier run, and what it has done by name.

    Raises:
        OSError: There is nothing to read.
        ValueError: It is damaged, or of another machine, version or setting.
    """
    path = folder / 'bench.json'
    try:
        found = json.loads(path.read_text())
        before = {'load': 'unknown', **found['machine']}
        names = 'name', 'command', 'status', 'environment', 'seconds', 'output'
        runs = [Run(*(run[name] for name in names)) for run in found['runs']]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a bench.json of this script') from error
    for key in (before.keys() | machine.keys()) - {'load'}:
        then, now = before.get(key, 'not set'), machine.get(key, 'not set')
        if then != now:
            raise ValueError(
                f'{path} is of another machine: {key} was {then} and is {now}; leave '
                '--resume out, or give another --out'
            )
    return before, {run.name: run for run in runs if run.status == 'done'}


def in_order(runs: Mapping[str, 'Run']) -> list['Run']:
    """Return runs in the order of `BENCHMARKS`."""
    return [runs[b.name] for b in BENCHMARKS if b.name in runs]


def run_all(
    args: argparse.Namespace, machine: Mapping[str, str], earlier: Mapping[str, 'Run']
) -> int:
    """Run the benchmarks that were asked for, one after the other.

    Args:
        args: The arguments of the script.
        machine: What `describe_machine` says.
        earlier: What was done before, by name. It stays, but for what was asked for
            with another command.
    """
    end = time.monotonic() + 60 * args.minutes
    runs = dict(earlier)
    for benchmark in BENCHMARKS:
        if args.only is not None and benchmark.name not in args.only:
            continue
        shown = benchmark.shown(args.python)
        if (run := earlier.get(benchmark.name)) and run.command == shown:
            print(f'{benchmark.name}: done before', flush=True)
            continue
        command = benchmark.command(args.out, args.python)
        run = run_within(benchmark, command, shown, end)
        runs[run.name] = run
        print(f'{run.name}: {run.status}', flush=True)
        write(args.out, machine, in_order(runs))
    print(f'written: {args.out}/bench.md and bench.json')
    failed = any(run.status.startswith('failed') for run in runs.values())
    return 1 if failed else 0


def run_within(
    benchmark: Benchmark, command: list[str], shown: list[str], end: float
) -> Run:
    """Run a benchmark if it is expected to end in time.

    Args:
        benchmark: What to run.
        command: Its command.
        shown: The same for the page.
        end: Time of ``time.monotonic()`` at which all have to end.
    """
    left = end - time.monotonic()
    if 60 * benchmark.minutes > left:
        reason = f'takes about {benchmark.minutes:g} minutes, {left / 60:.0f} are left'
        return Run(benchmark.name, shown, f'left out: {reason}')
    start = time.monotonic()
    limit = min(left, 60 * benchmark.minutes * PATIENCE)
    status, output = run_command(command, limit, benchmark.environment)
    taken = time.monotonic() - start
    return Run(benchmark.name, shown, status, benchmark.environment, taken, output)


def run_command(
    command: Sequence[str], limit: float, environment: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """Run a script for so many seconds at most; returns status and output."""
    child = subprocess.Popen(
        [sys.executable, '-W', 'ignore', *command],
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        end_group(child)
        return f'ended after {limit / 60:.0f} minutes', child.communicate()[0]
    except BaseException:  # Ctrl-C reaches this process alone
        end_group(child)
        raise
    if child.returncode:
        last = (errors.strip().splitlines() or ['no message'])[-1]
        return f'failed with exit code {child.returncode}: {last}', output
    return 'done', output


def end_group(child: subprocess.Popen) -> None:
    """End a script with the processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def write(folder: Path, machine: Mapping[str, str], runs: list[Run]) -> None:
    """Write the page and the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    found = dict(machine=dict(machine), runs=[asdict(run) for run in runs])
    texts = '\n'.join(page(machine, runs)), json.dumps(found, indent=2)
    for name, text in zip(RESULTS, texts, strict=True):
        write_bytes(folder / name, f'{text}\n'.encode())


def page(machine: Mapping[str, str], runs: list[Run]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from ('# Benchmarks', '', '| machine | |', '|---|---|')
    yield from (f'| {name} | {value} |' for name, value in machine.items())
    yield from ('', '| benchmark | what became of it | s |', '|---|---|---|')
    for run in runs:
        status = run.status.replace('|', '\\|')  # of a progress bar
        yield f'| {run.name} | {status} | {run.seconds:.0f} |'
    for run in runs:
        if run.output:
            yield from ('', f'## {run.name}', '')
            yield from results(run.command, run.environment, run.output)


def results(
    command: Sequence[str], environment: Mapping[str, str], output: str
) -> Iterator[str]:
    """Yield the lines of a benchmark's command and of what it printed."""
    settings = (f'{name}={value}' for name, value in environment.items())
    line = ' '.join([*settings, 'python', shlex.join(command)])
    yield from ('```bash', line, '```', '')
    yield from as_markdown(output)


def as_markdown(output: str) -> Iterator[str]:
    """Yield the lines of an output; what is not a table stands as it was printed."""
    block: list[str] = []
    lines = (line for line in output.splitlines() if line not in NOISE)
    for line in [*lines, '|']:
        if not line.startswith('|'):
            block.append(line)
            continue
        if any(text.strip() for text in block):
            yield from ('', '```text', *'\n'.join(block).strip('\n').split('\n'))
            yield from ('```', '')
        elif block:  # a line between two tables
            yield ''
        block = []
        if line != '|':
            yield line


if __name__ == '__main__':
    sys.exit(main())
