"""CPU seconds until a command shows its help, and until the stain engine is there.

    python benchmarks/startup.py

Each in a fresh interpreter, user and system time together, the median of five. Ends
with exit code 1 if one takes 0.7 s or more.
"""

import argparse
import resource
import statistics
import subprocess
import sys

from mmseg_ftu.cli import COMMANDS

LIMIT = 0.7  # CPU seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeats', type=int, default=5)
    repeats = parser.parse_args().repeats
    code = 'from mmseg_ftu.cli import main; main()'
    programs = {
        f'mmseg-ftu {words} --help'.replace('  ', ' '): [code, *words.split(), '--help']
        for words in ('', *COMMANDS)
    }
    programs['import mmseg_ftu.stain'] = ['import mmseg_ftu.stain']
    programs['(Python alone)'] = ['pass']
    slow = 0
    for name, words in programs.items():
        seconds = statistics.median(cpu_seconds(words) for _ in range(repeats))
        slow += seconds >= LIMIT
        print(f'{name:36} {seconds:.2f} s', flush=True)
    return 1 if slow else 0


def cpu_seconds(words: list[str]) -> float:
    """Run Python code in a fresh interpreter and return the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, '-c', *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == '__main__':
    sys.exit(main())
