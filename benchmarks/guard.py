"""Measure the three most important ratios, and compare them with a committed table.

    make bench
    python benchmarks/guard.py [--only 1] [--update]

Run it by hand, on an idle machine, before and after a change that may cost time: the
first time of a machine with ``--update``, which writes ``guard.json`` anew. A row falls
behind when its median is below the lowest round of the committed table by more than the
width of its own range (at least 5 %), or when half of its lead is gone. Ends with exit
code 1 if one does. ``--update`` refuses ratios that vary as on a busy machine.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from machine import describe_machine
from result_tables import Ratio, find_ratio

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / 'benchmarks/guard.json'
LEAST = 0.05  # of the ratio: what chance alone moves on an idle machine
WIDEST = 0.2  # range of the rounds, of the ratio, with which a table can guard


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    rows = json.loads(TABLE.read_text())
    numbers = range(1, len(rows) + 1)
    parser.add_argument(
        '--only', type=int, nargs='+', choices=numbers, help='numbers of rows, from 1'
    )
    parser.add_argument(
        '--update', action='store_true', help='write guard.json, compare nothing'
    )
    args = parser.parse_args()
    chosen = rows if args.only is None else [rows[i - 1] for i in args.only]
    measured = [measure(row) for row in chosen]
    lines, behind = compare(chosen, measured)
    print('\n'.join(lines))
    if args.update:
        if wide := too_wide(chosen, measured):
            print(
                f'guard.json stays as it is: the rounds of {", ".join(wide)} differ by '
                f'more than {WIDEST:.0%}; measure again on an idle machine',
                file=sys.stderr,
            )
            return 2
        machine = describe_machine()
        for row, ratio in zip(chosen, measured, strict=True):
            row |= dict(ratio=ratio._asdict(), machine=machine)
        TABLE.write_text(json.dumps(rows, indent=2) + '\n')
        print(f'written: {TABLE.relative_to(ROOT)}')
        return 0
    return 1 if behind else 0


def measure(row: dict) -> Ratio:
    """Run the benchmark of a row and return its ratio.

    Raises:
        SystemExit: If it fails.
    """
    command = [sys.executable, '-W', 'ignore', *row['command']]
    print(f'{row["name"]}: {" ".join(row["command"])}', flush=True)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f'failed: {" ".join(row["command"])}\n{done.stdout}')
    print(f'  {time.perf_counter() - start:.0f} s', flush=True)
    return find_ratio(done.stdout, row['cells'])


def floor_of(committed: Ratio) -> float:
    """Return the median below which a row falls behind."""
    width = max(committed.high - committed.low, LEAST * committed.median)
    half = 1 + (committed.median - 1) / 2 if committed.median > 1 else 0
    return max(committed.low - width, half)


def too_wide(rows: list[dict], measured: list[Ratio]) -> list[str]:
    """Return the names of rows whose rounds differ too much to guard anything."""
    return [
        row['name']
        for row, ratio in zip(rows, measured, strict=True)
        if ratio.high - ratio.low > WIDEST * ratio.median
    ]


def compare(rows: list[dict], measured: list[Ratio]) -> tuple[list[str], list[str]]:
    """Compare what was measured with the committed table.

    Returns:
        The lines of a table, and the names of the rows that fall behind.
    """
    lines = ['| row | committed | measured | at least | |', '|---|---|---|---|---|']
    behind = []
    for row, ratio in zip(rows, measured, strict=True):
        committed = Ratio(**row['ratio'])
        least = floor_of(committed)
        verdict = 'holds'
        if ratio.median < least:
            verdict = 'FALLS BEHIND'
            behind.append(row['name'])
        cells = row['name'], cell(committed), cell(ratio), f'{least:.2f}', verdict
        lines.append('| ' + ' | '.join(cells) + ' |')
    return lines, behind


def cell(ratio: Ratio) -> str:
    return f'{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})'


if __name__ == '__main__':
    sys.exit(main())
