"""Memory of the process: glibc hands what is freed back, and that costs time.

With glibc's defaults each large tensor is mapped afresh from the system, and the first
touch of each of its pages is a fault. On CPUs that is up to a third of a training step
(docs/performance.md, "Memory that glibc keeps"). Results do not depend on it.
"""

import ctypes
import os
import sys

OFF = 'MMSEG_FTU_KEEP_MEMORY'  # set to 0 to leave glibc as it is
#: Who sets one of these has decided for himself.
OF_USERS = ('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_', 'MALLOC_TOP_PAD_')
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # numbers of mallopt, from malloc.h
LARGEST_KEPT = 1 << 30  # bytes of one piece of memory


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory in this process and in those that it forks.

    Nothing changes on other systems, with another allocator, where the user has set
    one of ``OF_USERS`` or of ``glibc.malloc`` in ``GLIBC_TUNABLES``, or with
    ``MMSEG_FTU_KEEP_MEMORY=0``.

    Returns:
        Whether it was told.
    """
    if sys.platform != 'linux' or os.environ.get(OFF) == '0':
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
        process.mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
        and process.mallopt(TRIM_THRESHOLD, -1)  # never
    )
