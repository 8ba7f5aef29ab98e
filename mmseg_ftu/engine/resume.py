"""What ``--resume`` needs to go on as if the run had never been stopped.

mmengine (0.10) by itself: saves an epoch before validating it, so that a learning-rate
reduction of that epoch is lost; does not save the state of the random generators;
deletes the old checkpoint before it writes the new one; trusts ``last_checkpoint``.
How files are written and found again: ``mmseg_ftu/engine/checkpoint_files.py``.
"""

import uuid
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.best_checkpoint import BestCheckpointHook
from mmseg_ftu.engine.checkpoint_files import (
    find_resumable,
    remove_partials,
    warn,
)
from mmseg_ftu.io.atomic_files import write_bytes


@HOOKS.register_module()
class ResumableCheckpointHook(BestCheckpointHook):
    """Save an epoch after its validation, atomically, the newest two kept by default.

    An epoch is saved in ``after_train_epoch`` where no validation follows, else in
    ``after_val_epoch``, after the learning-rate schedule has seen the validation loss.
    A new best checkpoint is written first, then the epoch that names it, and only then
    the old ones are deleted, so a kill at any moment leaves an epoch to resume from and
    the best checkpoint that it names.

    In ``before_run`` of a resumed training the newest intact checkpoint is chosen, and
    what killed processes left half written is removed.

    Args:
        interval: Save every so many epochs, and the last.
        max_keep_ckpts: How many epochs to keep, at least 2 (or -1 for all).
        **kwargs: Arguments of mmengine's ``CheckpointHook``.
    """

    def __init__(self, interval: int = 1, max_keep_ckpts: int = 2, **kwargs: Any):
        if max_keep_ckpts in (0, 1):
            raise ValueError(
                f'max_keep_ckpts={max_keep_ckpts} leaves nothing to go on from when '
                'the newest is damaged: use 2 or more, or -1 for all'
            )
        kwargs.setdefault('backend_args', dict(backend='checkpoint'))
        super().__init__(interval, max_keep_ckpts=max_keep_ckpts, **kwargs)

    def before_run(self, runner: Runner) -> None:
        """Clean up, and choose the checkpoint to resume from."""
        if not isinstance(runner._train_loop, (dict, type(None))):
            work_dir = Path(runner.work_dir)
            folder = work_dir
            if self.out_dir is not None and Path(self.out_dir) != work_dir:
                folder = Path(self.out_dir) / work_dir.name
            if is_main_process():
                for place in {work_dir, folder}:
                    remove_partials(place)
            if runner._resume and runner._load_from is None:
                self._choose(runner, work_dir, folder)

    def _choose(self, runner: Runner, work_dir: Path, folder: Path) -> None:
        """Let the main process choose for all, as all must go on from one file."""
        choice: list[Any] = [None, None]  # the file, or why there is none
        if is_main_process():
            try:
                choice[0] = find_resumable(work_dir, folder, self.filename_tmpl)
            except ValueError as error:
                choice[1] = error
        broadcast_object_list(choice)
        if choice[1] is not None:
            raise choice[1]
        if choice[0] is None:
            warn(f'--resume: no checkpoint in {folder}, so training begins at epoch 1')
            runner._resume = False
        else:
            runner._load_from = str(choice[0])

    def before_train(self, runner: Runner) -> None:
        """Find the best checkpoints of a resumed run."""
        super().before_train(runner)
        hub = runner.message_hub
        if hub.get_info('run_id') is None:  # kept over resumes, see BestCheckpoints
            hub.update_info('run_id', uuid.uuid4().hex)
        self.superseded = {}
        for key in self.key_indicators if self.save_best else ():
            if key != 'auto':  # known after the first validation
                self.find_best(runner, key)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save now if this epoch is not validated."""
        if not validates(runner, runner.epoch + 1):
            super().after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save the best, then the epoch that was validated, then delete the old."""
        if not hasattr(self, 'superseded'):  # a validation outside of training
            return
        improved = self.save_best_checkpoints(runner, metrics)
        step = runner.epoch if self.by_epoch else runner.iter
        improved = improved and self.interval > 0 and step >= self.save_begin
        if improved or self._is_due(runner):
            runner.logger.info(f'Saving checkpoint at {step} {self._unit()}')
            meta = dict(epoch=runner.epoch, iter=runner.iter)
            self._save_checkpoint_with_step(runner, step, meta)
        self.remove_superseded(runner)

    def after_train(self, runner: Runner) -> None:
        """Delete what a killed run has left, if nothing did so before."""
        self.remove_superseded(runner)
        super().after_train(runner)

    def _is_due(self, runner: Runner) -> bool:
        epoch = runner.epoch
        if not (self.by_epoch and epoch and validates(runner, epoch)):
            return False
        if self.save_last and epoch == runner.max_epochs:
            return True
        since = epoch - self.save_begin
        return bool(self.interval > 0 and since >= 0 and since % self.interval == 0)

    def _unit(self) -> str:
        return 'epochs' if self.by_epoch else 'iterations'

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict[str, Any]
    ) -> None:
        """Save a state, then say so in ``last_checkpoint``, then delete the oldest.

        The state names the epochs that are to be deleted, too, so that a resumed run
        deletes them if this one is killed before.
        """
        kept = list(getattr(self, 'keep_ckpt_ids', ()))
        if self.max_keep_ckpts > 0:
            kept = [*(other for other in kept if other != step), step]
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            note = Path(runner.work_dir, 'last_checkpoint')
            write_bytes(note, self.last_ckpt.encode())
        if self.max_keep_ckpts > 0:
            for old in kept[: -self.max_keep_ckpts]:
                name = self.filename_tmpl.format(old)
                self.remove(self.file_backend.join_path(self.out_dir, name))
            self.keep_ckpt_ids = deque(kept[-self.max_keep_ckpts :])
            ids = list(self.keep_ckpt_ids)
            runner.message_hub.update_info('keep_ckpt_ids', ids)


def validates(runner: Runner, epoch: int) -> bool:
    """Tell whether the training loop validates after ``epoch`` epochs."""
    loop = runner.train_loop
    return bool(
        runner.val_loop is not None
        and epoch >= loop.val_begin
        and (epoch % loop.val_interval == 0 or epoch == loop.max_epochs)
    )


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed torch at the beginning of each epoch by (seed, epoch, rank).

    Dropout and drop path of an epoch are then the same in a resumed run. Runs in
    ``before_train_iter`` of the first batch: a data loader with persistent workers
    draws from the same generator when it starts them, in the first epoch of a process
    only, which is after ``before_train_epoch``. The data have generators of their own,
    see ``mmseg_ftu/datasets/seeding.py``.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Seed the CPU's and all accelerators' generators."""
        if batch_idx == 0:
            entropy = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()])
            torch.manual_seed(int(entropy.generate_state(1, np.uint32)[0]))
