import os

import pytest

from mmseg_ftu.io.launched_as import launched_as


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, (0, 1, 0)),
        (dict(RANK='3', WORLD_SIZE='4', LOCAL_RANK='1'), (3, 4, 1)),
        (dict(RANK='3', WORLD_SIZE='4'), (3, 4, 0)),
        (
            dict(SLURM_PROCID='2', SLURM_STEP_NUM_TASKS='6', SLURM_LOCALID='0'),
            (2, 6, 0),
        ),
        # a batch script without srun: one process, whatever was reserved
        (dict(SLURM_PROCID='0', SLURM_NTASKS='6', SLURM_LOCALID='0'), (0, 1, 0)),
        (dict(RANK='3'), (0, 1, 0)),
    ],
)
def test_launchers(monkeypatch, environment, expected):
    for name in [*os.environ]:
        if name.startswith('SLURM_') or name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched_as() == expected
