"""Peak memory of this process, for benchmarks on a CPU (Linux)."""

from collections.abc import Callable
from pathlib import Path

PROCESS = Path('/proc/self')


def peak_mib(call: Callable[[], object]) -> float:
    """Return how far a call raises the resident memory at its peak, in MiB."""
    (PROCESS / 'clear_refs').write_text('5')  # forget earlier peaks
    before = _status('VmRSS')
    call()
    return (_status('VmHWM') - before) / 1024


def _status(key: str) -> int:
    """Return an entry of this process's status, in KiB."""
    lines = (PROCESS / 'status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])
