"""Freed memory is kept in the tools' own processes, and only there."""

import os
import subprocess
import sys

import pytest

from mmseg_ftu import allocator, cli

linux = pytest.mark.skipif(sys.platform != 'linux', reason='glibc is for Linux')
FAULTS = """
import resource
import numpy as np
from mmseg_ftu.allocator import keep_freed_memory
print(keep_freed_memory())
np.ones(2**22)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**22)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(code: str, **variables: str) -> list[str]:
    environ = {k: v for k, v in os.environ.items() if k not in allocator.OF_USERS}
    command = [sys.executable, '-c', code]
    done = subprocess.run(
        command, env=environ | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@linux
def test_pages_are_touched_once():
    told, faults = run(FAULTS)
    left_alone, more_faults = run(FAULTS, MMSEG_FTU_KEEP_MEMORY='0')
    assert (told, left_alone) == ('True', 'False')
    assert int(faults) < int(more_faults) / 10  # 20 times 32 MiB, or none


@linux
@pytest.mark.parametrize(
    'variables',
    [
        {'MALLOC_TRIM_THRESHOLD_': '100000'},
        {'MALLOC_MMAP_THRESHOLD_': '100000'},
        {'MALLOC_ARENA_MAX': '2'},
        {'GLIBC_TUNABLES': 'glibc.malloc.trim_threshold=100000'},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_the_users_own_settings_stay(variables):
    assert run(FAULTS, **variables)[0] == 'False'


@pytest.mark.parametrize('value', ['0', 'off', 'False', ' no '])
def test_users_turn_it_off(monkeypatch, value):
    monkeypatch.setenv(allocator.SETTING, value)
    assert not allocator.keep_freed_memory()


@linux
def test_a_setting_that_says_nothing_is_named(monkeypatch, capsys):
    monkeypatch.setenv(allocator.SETTING, 'nein')
    monkeypatch.setattr(allocator.ctypes, 'CDLL', lambda name: None)  # no glibc
    assert not allocator.keep_freed_memory()
    assert 'MMSEG_FTU_KEEP_MEMORY=nein is neither 0 nor 1' in capsys.readouterr().err


@linux
def test_a_glibc_that_refuses_large_pieces_keeps_smaller_ones(monkeypatch):
    asked = []

    class Older:
        gnu_get_libc_version = None

        def mallopt(self, number, value):
            asked.append((number, value))
            return value <= 1 << 25

    for name in allocator.OF_USERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(allocator.ctypes, 'CDLL', lambda name: Older())
    assert allocator.keep_freed_memory()
    assert asked == [(-3, 1 << 30), (-3, 1 << 25), (-1, -1)]


def test_another_allocator_stays(monkeypatch):
    monkeypatch.setenv('LD_PRELOAD', '/usr/lib/libjemalloc.so.2')
    assert not allocator.keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    assert not allocator.keep_freed_memory()


@pytest.mark.parametrize('command', ['train', 'evaluate'])
def test_only_commands_with_tensors_in_a_process_of_their_own(command, monkeypatch):
    told = []
    monkeypatch.setattr(cli, 'keep_freed_memory', lambda: told.append(command))
    monkeypatch.setattr(cli, 'run_command', lambda *args: 0)
    cli.main([command])  # as a library
    assert told == []
    monkeypatch.setattr(sys, 'argv', ['mmseg-ftu', command])
    cli.main()
    with pytest.raises(SystemExit):
        cli.run_tool(command)
    assert told == ['train'] * 2 * (command == 'train')
