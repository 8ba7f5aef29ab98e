"""What machine a benchmark ran on, and with which versions and settings."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *('torch', 'numpy', 'opencv-python-headless', 'opencv-python', 'timm'),
    *('onedl-mmsegmentation', 'mmsegmentation', 'segmentation-models-pytorch'),
    *('transformers', 'tifffile', 'imagecodecs'),
)
SETTINGS = (
    *('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'MMSEG_FTU_KEEP_MEMORY', 'LD_PRELOAD'),
    *('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_', 'MALLOC_TOP_PAD_'),
    'GLIBC_TUNABLES',
)
CPU_INFO = Path('/proc/cpuinfo')


def describe_machine() -> dict[str, str]:
    """Return processor, cores, instruction set, code, versions and settings."""
    import torch

    from mmseg_ftu.study.code_version import describe_code

    about = {
        'processor': processor(),
        'cores': str(len(os.sched_getaffinity(0))),
        'instruction set': torch.backends.cpu.get_cpu_capability(),
        'system': f'{platform.system()} {platform.machine()}, {libc()}',
        'Python': platform.python_version(),
        'code': describe_code()['sources'],
        'load': ' '.join(f'{load:.1f}' for load in os.getloadavg()),
    }
    if torch.cuda.is_available():
        about['GPU'] = torch.cuda.get_device_name()
    return about | versions() | settings(os.environ)


def processor() -> str:
    """Return the name of the processor."""
    if CPU_INFO.is_file():
        return model_name(CPU_INFO.read_text())
    return platform.processor() or 'unknown'


def model_name(cpu_info: str) -> str:
    """Return the first model name of the text of ``/proc/cpuinfo``."""
    for line in cpu_info.splitlines():
        key, _, value = line.partition(':')
        if key.strip() == 'model name':
            return value.strip()
    return 'unknown'


def libc() -> str:
    return ' '.join(platform.libc_ver()).strip() or 'unknown libc'


def versions() -> dict[str, str]:
    """Return the versions of packages that are there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return settings of threads and of the allocator, ``default`` where not set."""
    found = {name: environment[name] for name in SETTINGS if name in environment}
    if not any(name.startswith(('MALLOC', 'GLIBC', 'LD_')) for name in found):
        found['allocator'] = "glibc's defaults, but for tools that keep freed memory"
    return found
