"""What ``--resume`` needs to go on as if the run had never been stopped.

mmengine (0.10) by itself: saves an epoch before validating it, so that a learning-rate
reduction of that epoch is lost; doesn't save the state of the random generators; writes
checkpoints in place, so that a full disk or a kill leaves half a file.
"""

import os
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmseg.registry import HOOKS


class AtomicBackend(LocalBackend):
    """Local files that appear whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write beside the target, flush to disk, then rename."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f'.{path.name}.{os.getpid()}')
        try:
            with partial.open('wb') as stream:
                stream.write(obj)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


register_backend('atomic', AtomicBackend, force=True)


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """Save an epoch after its validation, atomically, the newest two kept by default.

    Runs in ``after_train_epoch`` where no validation follows, else in
    ``after_val_epoch``, after the learning-rate schedule has seen the validation loss.
    Two are kept so that there is one to resume from while the other is written.

    Args:
        interval: Save every so many epochs, and the last.
        max_keep_ckpts: How many epochs to keep, at least 2 (or -1 for all).
        **kwargs: As for mmengine's ``CheckpointHook``.
    """

    def __init__(self, interval: int = 1, max_keep_ckpts: int = 2, **kwargs):
        if max_keep_ckpts in (0, 1):
            raise ValueError(
                f'max_keep_ckpts={max_keep_ckpts} deletes the only checkpoint before '
                'the next is written: use 2 or more, or -1 for all'
            )
        kwargs.setdefault('backend_args', dict(backend='atomic'))
        super().__init__(interval, max_keep_ckpts=max_keep_ckpts, **kwargs)

    def after_train_epoch(self, runner) -> None:
        """Save now if this epoch isn't validated."""
        if not validates(runner, runner.epoch + 1):
            super().after_train_epoch(runner)

    def after_val_epoch(self, runner, metrics: dict) -> None:
        """Save the epoch that was validated, and the best one."""
        epoch = runner.epoch
        if self.by_epoch and epoch and validates(runner, epoch):
            due = epoch >= self.save_begin and (
                (epoch - self.save_begin) % self.interval == 0
            )
            if due or (self.save_last and epoch == runner.max_epochs):
                runner.logger.info(f'Saving checkpoint at {epoch} epochs')
                meta = dict(epoch=epoch, iter=runner.iter)
                self._save_checkpoint_with_step(runner, epoch, meta)
        super().after_val_epoch(runner, metrics)


def validates(runner, epoch: int) -> bool:
    """Tell whether the training loop validates after ``epoch`` epochs."""
    loop = runner.train_loop
    return (
        runner.val_loop is not None
        and epoch >= loop.val_begin
        and (epoch % loop.val_interval == 0 or epoch == loop.max_epochs)
    )


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed torch at the begin of each epoch by (seed, epoch, rank).

    Dropout and drop path of an epoch are then the same in a resumed run. Runs in
    ``before_train_iter`` of the first batch: a data loader with persistent workers
    draws from the same generator when it starts them, in the first epoch of a process
    only, which is after ``before_train_epoch``. The data have generators of their own,
    see ``mmseg_ftu/datasets/seeding.py``.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed the CPU's and all accelerators' generators."""
        if batch_idx == 0:
            entropy = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()])
            torch.manual_seed(int(entropy.generate_state(1, np.uint32)[0]))
