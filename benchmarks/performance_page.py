"""Put the tables of one run of all benchmarks into the page on performance.

    python benchmarks/run.py --minutes 120 --out bench
    python benchmarks/performance_page.py bench/bench.json

What stands between ``<!-- bench: NAME -->`` and ``<!-- end -->`` of the page is
replaced: by the command of that benchmark and what it printed, or by the machine where
NAME is ``machine``. The numbers are kept beside the scripts, in ``performance.json``,
so that a test finds a page that was edited by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from run import results

from mmseg_ftu.io.atomic_files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'performance.md'
NUMBERS = ROOT / 'benchmarks' / 'performance.json'
BLOCK = re.compile(r'(<!-- bench: ([^\n]+?) -->\n).*?(<!-- end -->)', re.S)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('bench', type=Path, help='the bench.json of run.py')
    args = parser.parse_args()
    try:
        numbers = args.bench.read_bytes()
        page = fill(PAGE.read_text(), json.loads(numbers))
    except (OSError, ValueError) as error:
        print(f'{args.bench}: {error}', file=sys.stderr)
        return 2
    write_bytes(NUMBERS, numbers)  # the same again where they fill the page anew
    write_bytes(PAGE, page.encode())
    print(f'written: {PAGE.relative_to(ROOT)} and {NUMBERS.relative_to(ROOT)}')
    return 0


def fill(page: str, bench: Mapping[str, Any]) -> str:
    """Return the page with the results of a run in place of its earlier ones.

    Raises:
        ValueError: If the page has no such places, or a benchmark was not done.
    """
    if not BLOCK.search(page):
        raise ValueError('the page has no <!-- bench: NAME --> ... <!-- end -->')
    try:
        machine = dict(bench['machine'])
        names = 'name', 'command', 'status', 'environment', 'output'
        runs = {run['name']: {key: run[key] for key in names} for run in bench['runs']}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError('this is not a bench.json of run.py') from error

    def replace(found: re.Match[str]) -> str:
        lines = '\n'.join(block(found[2], machine, runs)).strip('\n')
        lines = re.sub(r'\n{3,}', '\n\n', lines)
        return f'{found[1]}\n{lines}\n\n{found[3]}'

    return BLOCK.sub(replace, page)


def block(
    name: str, machine: Mapping[str, str], runs: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Yield the lines of one place of the page."""
    if name == 'machine':
        yield from ('| machine | |', '|---|---|')
        yield from (f'| {key} | {value} |' for key, value in machine.items())
        return
    status = runs[name]['status'] if name in runs else 'not among the runs'
    if status != 'done':
        raise ValueError(f'the page shows {name}, and it was not done: {status}')
    run = runs[name]
    if not run['output'].strip():
        raise ValueError(f'the page shows {name}, which printed nothing')
    yield from results(run['command'], run['environment'], run['output'])


if __name__ == '__main__':
    sys.exit(main())
