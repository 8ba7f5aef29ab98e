"""Run tools as a user types them, on a small model."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = 'configs/tissue/coat_slim_daformer_switch.py'
# crops of 64 px, 2 epochs, the switch after the first
SMALL = [
    'train_cfg.max_epochs=2',
    'train_cfg.val_interval=1',
    'custom_hooks.0.schedule.1.begin=1',
    'train_dataloader.dataset.pipeline.2.transforms.0.size=(64,64)',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0',
    'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
]


def run(*command, data=None, check=True, **environment):
    env = dict(os.environ, **environment)
    env['PATH'] = f'{Path(sys.executable).parent}{os.pathsep}{env["PATH"]}'
    if data is not None:
        env['FTU_DATA'] = str(data)
    if str(command[0]).endswith('.py'):
        command = (sys.executable, *command)
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        timeout=500,
    )
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


MEASURED = """
import resource, sys
from mmseg_ftu.cli import run_command
code = run_command(sys.argv[1], sys.argv[2:])
print('MiB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
raise SystemExit(code)
"""


def peak_memory(*words) -> int:
    """Run a command of mmseg-ftu in a process of its own; return its peak, MiB."""
    return int(run(sys.executable, '-c', MEASURED, *words).stdout.split()[-1])
