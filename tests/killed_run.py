"""Train the tiny model in processes that are killed at each operation on files.

A script, as forking is safe only where nothing has been computed yet:
``python tests/killed_run.py FOLDER SCORES LATER_SCORES`` trains four epochs by
``SCORES`` (JSON, metric to values by epoch) and kills the process before the first
operation on checkpoints of epoch 3, another one before the second, and so on. Each is
then resumed with ``LATER_SCORES``. It prints for each kill the operation and what was
left: see ``look_at``.
"""

import json
import os
import signal
import sys
import uuid
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from tiny_run import build, tiny_config

from mmseg_ftu.engine.safe_checkpoints import load_local


class ScriptedScoresHook(Hook):
    """Replace the scores of a validation by those of a script, by epoch from 1."""

    priority = 'VERY_HIGH'

    def __init__(self, scores: dict[str, list[float]]):
        self.scores = scores

    def after_val_epoch(self, runner, metrics):
        for key, values in self.scores.items():
            metrics[key] = values[runner.epoch - 1]


class KillHook(Hook):
    """Kill the process before its n-th change of files after one epoch's validation."""

    priority = 'HIGHEST'

    def __init__(self, epoch: int, work_dir: Path, kill_at: int):
        self.epoch, self.work_dir, self.left = epoch, work_dir, kill_at

    def after_val_epoch(self, runner, metrics):
        if runner.epoch == self.epoch:
            sys.addaudithook(self.look)

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            self.left = sys.maxsize

    def look(self, event: str, arguments: tuple):
        if event not in ('os.rename', 'os.remove'):  # the former ends a writing
            return
        path = Path(os.fsdecode(arguments[0]))
        watched = path.parent == self.work_dir and '.pth' in path.name
        watched |= 'last_checkpoint' in path.name
        if watched and (event != 'os.remove' or path.name[0] != '.'):
            self.left -= 1
            if self.left < 0:
                (self.work_dir.parent / 'operation').write_text(f'{event} {path.name}')
                os.kill(os.getpid(), signal.SIGKILL)


def train(work_dir: Path, scores: dict, *hooks: Hook, **options):
    """Train with scripted scores; return the runner."""
    cfg = tiny_config(work_dir, custom_hooks=[], **options)
    cfg.experiment_name = uuid.uuid4().hex  # runs of one name share a message hub
    names = list(scores)
    rules = ['less' if name == 'error' else 'greater' for name in names]
    cfg.default_hooks.checkpoint.update(save_best=names, rule=rules)
    runner = build(cfg)
    for hook in (ScriptedScoresHook(scores), *hooks):
        runner.register_hook(hook)
    runner.train()
    return runner


def in_a_process(function, *arguments, **options) -> int:
    """Call a function in a forked process; return its exit code, -9 if killed."""
    process = os.fork()
    if not process:
        try:
            function(*arguments, **options)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def look_at(work_dir: Path) -> dict:
    """Return the files, and what the newest state says of the best by each metric."""
    files = sorted(path.name for path in work_dir.iterdir() if '.pth' in path.name)
    epochs = [int(name[6:-4]) for name in files if name.startswith('epoch_')]
    note = Path((work_dir / 'last_checkpoint').read_text()).name
    info = load_local(work_dir / note, 'cpu')['message_hub']['runtime_info']
    best = {key: Path(info[key]).name for key in info if key.startswith('best_ckpt')}
    scores = {key: info[key] for key in info if key.startswith('best_score')}
    return dict(files=files, epochs=epochs, last=note, best=best, scores=scores)


if __name__ == '__main__':
    folder = Path(sys.argv[1])
    first, later = map(json.loads, sys.argv[2:])
    init_default_scope('mmseg')
    torch.backends.mkldnn.enabled = False  # it compiles code in each process
    rows = []
    while True:
        run = folder / f'run_{len(rows)}'
        hook = KillHook(3, run, len(rows))
        if in_a_process(train, run, first, hook) == 0:
            break
        row = dict(operation=(folder / 'operation').read_text(), killed=look_at(run))
        row['exit'] = in_a_process(train, run, later, resume=True)
        row['resumed'] = look_at(run)
        rows.append(row)
    print(json.dumps(rows))
