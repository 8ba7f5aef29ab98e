"""The same bits in every process, whatever its threads and however busy the machine.

staintools fails this: on two cores with six busy processes its stains are off by up to
ten degrees, as it searches for a second of wall clock.
"""

import json
import os
import subprocess
import sys

import cv2
import pytest
from sections import REAL, section

BUSY = 6  # processes
SCRIPT = """
import hashlib, json, sys
import cv2, numpy as np, torch
from mmseg_ftu.stain import METHODS
print('ready', flush=True)
sys.stdin.readline()
threads, *paths = sys.argv[1:]
cv2.setNumThreads(int(threads)); torch.set_num_threads(int(threads))
images = {p: cv2.cvtColor(cv2.imread(p), cv2.COLOR_BGR2RGB) for p in paths}
target = images[paths[0]]
found = {}
for name, kind in METHODS.items():
    normalizer = kind(on_failure='raise').fit(target)
    for path, image in images.items():
        source = normalizer.fit_source(image)
        out = normalizer.apply(image, source)
        numbers = [v.tobytes().hex() for v in vars(source).values() if v is not None]
        found[f'{name} {path}'] = [numbers, hashlib.sha256(out.tobytes()).hexdigest()]
print(json.dumps(found))
"""
# Ends by itself, should the test be killed.
BURN = 'import time; end = time.time() + 300\nwhile time.time() < end: pass'


def start(threads, paths):
    """Start a process of so many threads that has imported all and waits."""
    names = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')
    process = subprocess.Popen(
        [sys.executable, '-c', SCRIPT, str(threads), *map(str, paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **dict.fromkeys(names, str(threads))},
    )
    while (line := process.stdout.readline()).strip() != 'ready':
        assert line, 'the process ended early'
    return process


def finish(process):
    """Let it run; return bits of the fits and hashes of the outputs."""
    printed, _ = process.communicate('go\n')
    assert process.returncode == 0
    return json.loads(printed)


def made_by_code(folder):
    paths = []
    for seed, size in ((2, 96), (1, 200), (3, 500)):
        paths.append(folder / f'section{seed}.png')
        cv2.imwrite(str(paths[-1]), section(seed, size))
    return paths


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['made by code', 'real'])
def test_bits_do_not_depend_on_load_or_threads(kind, request, tmp_path):
    if kind == 'real':
        folder = request.getfixturevalue('shared_data')('stain_images')
        paths = [folder / name for name in REAL]
    else:
        paths = made_by_code(tmp_path)
    alone = finish(start(1, paths))
    assert len(alone) == 3 * len(paths)
    assert len({output for _, output in alone.values()}) == 3 * len(paths)
    waiting = {threads: start(threads, paths) for threads in (1, 2, 4)}
    burners = [subprocess.Popen([sys.executable, '-c', BURN]) for _ in range(BUSY)]
    try:
        for threads, process in waiting.items():
            assert finish(process) == alone, f'{threads} threads'
        assert all(burner.poll() is None for burner in burners)  # busy to the end
    finally:
        for process in (*burners, *waiting.values()):
            process.kill()
            process.wait()
