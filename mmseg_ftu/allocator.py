"""Memory of the process: glibc hands what is freed back, and that costs time.

With glibc's defaults each large tensor is mapped afresh from the system, and the first
touch of each of its pages is a fault. On CPUs that is up to a third of a training step
(docs/performance.md, "Memory that glibc keeps"). Results do not depend on it.
"""

import ctypes
import os
import sys

SETTING = 'MMSEG_FTU_KEEP_MEMORY'
ON, OFF = ('', '1', 'true', 'yes', 'on'), ('0', 'false', 'no', 'off')
#: Who sets one of these has decided for himself.
OF_USERS = (
    *('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_', 'MALLOC_TOP_PAD_'),
    *('MALLOC_MMAP_MAX_', 'MALLOC_ARENA_MAX'),
)
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # numbers of mallopt, from malloc.h
LARGEST_KEPT = (1 << 30, 1 << 25)  # bytes of a piece; older versions refuse the first


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory in this process and in those that it forks.

    Nothing changes on other systems, with another allocator, where the user has set
    one of ``OF_USERS`` or of ``glibc.malloc`` in ``GLIBC_TUNABLES``, or with
    ``MMSEG_FTU_KEEP_MEMORY=0``.

    Returns:
        Whether it was told.
    """
    if sys.platform != 'linux' or not _is_wanted(os.environ.get(SETTING, '')):
        return False
    if any(name in os.environ for name in OF_USERS):
        return False
    if 'glibc.malloc' in os.environ.get('GLIBC_TUNABLES', ''):
        return False
    if 'malloc' in os.environ.get('LD_PRELOAD', ''):  # jemalloc, tcmalloc
        return False
    process = ctypes.CDLL(None)
    if not hasattr(process, 'gnu_get_libc_version'):
        return False
    return bool(
        any(process.mallopt(MMAP_THRESHOLD, size) for size in LARGEST_KEPT)
        and process.mallopt(TRIM_THRESHOLD, -1)  # never
    )


def _is_wanted(value: str) -> bool:
    """Tell what the user's setting says; a word that says nothing is named."""
    word = value.strip().lower()
    if word not in (*ON, *OFF):
        print(
            f'note: {SETTING}={value} is neither 0 nor 1; 1 is taken', file=sys.stderr
        )
    return word not in OFF
