"""Refuse to score a model on images it was trained on, or to mix folds in a run."""

import logging
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.datasets.fold_record import (
    fold_record,
    image_ids,
    trained_on,
    training_in_words,
)
from mmseg_ftu.engine.safe_checkpoints import dataset_meta_of, load_local
from mmseg_ftu.io.listing import some_of

GO_ON = 'go on with --cfg-options default_hooks.check_fold.allow_other=True'


@HOOKS.register_module()
class CheckFoldHook(Hook):
    """Keep in checkpoints what they were trained on, and compare with it.

    A checkpoint carries ``dataset_meta['fold']``, ``['folds_id']`` and
    ``['train_images']``, see ``mmseg_ftu.datasets.fold_record`` (written in
    ``before_save_checkpoint``). The hook refuses:

    - a test on images that the checkpoint was trained on, and ``--resume`` on other
      images than before (``after_load_checkpoint``);
    - validation on images that are trained on, and a new run in a work dir that holds
      checkpoints of other images (``before_train``).

    It reports weights to start from (``load_from``) that know the validation images,
    and validation while training on all folds. Checkpoints that say nothing pass, with
    a line in the log; data sets other than ``HuBMAPDataset`` pass.

    Args:
        allow_other: Report instead of refusing.

    Raises:
        ValueError: For anything that the hook refuses.
    """

    def __init__(self, allow_other: bool = False):
        self.allow_other = allow_other

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: dict[str, Any]
    ) -> None:
        """Add the entries."""
        record = fold_record(runner.train_dataloader.dataset)
        if record:
            meta = checkpoint['meta'].get('dataset_meta') or {}
            checkpoint['meta']['dataset_meta'] = {**meta, **record}

    def before_train(self, runner: Runner) -> None:
        """Compare training with validation, and with what lies in the work dir."""
        data = runner.train_dataloader.dataset
        record = fold_record(data)
        if not record:
            return
        if runner.val_loop is not None:
            self._check_validation(record, image_ids(runner.val_dataloader.dataset))
        if not runner._resume:
            self._check_work_dir(runner.work_dir, record)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare the checkpoint with the data at hand."""
        meta = dataset_meta_of(checkpoint)
        testing = not isinstance(runner._test_loop, (dict, type(None)))
        if testing:
            self._check_test(meta, image_ids(runner.test_dataloader.dataset))
        elif runner._resume:
            self._check_resume(meta, fold_record(runner.train_dataloader.dataset))
        elif runner.val_loop is not None:
            ids = image_ids(runner.val_dataloader.dataset)
            if known := trained_on(meta, ids):
                _warn(
                    f'the weights to start from were trained on {len(known)} of the '
                    f'{len(ids)} validation images ({some_of(known)}), so validation '
                    'flatters'
                )

    def _check_validation(self, record: dict[str, Any], ids: dict[str, str]) -> None:
        known = trained_on(record, ids)
        if not known:
            return
        text = (
            f'{len(known)} of the {len(ids)} validation images are trained on '
            f'({some_of(known)})'
        )
        if record.get('fold', 0) is None:  # split='all', where nothing else is left
            _warn(f'{text}, so validation says nothing about new images')
            return
        self._object(
            text, 'let train and validation have one fold (FOLD=3 sets both), or'
        )

    def _check_work_dir(self, work_dir: str, record: dict[str, Any]) -> None:
        try:
            paths = sorted(
                Path(work_dir).glob('*.pth'), key=lambda p: p.stat().st_mtime
            )
            # 'meta': the weights themselves are not read
            there = dataset_meta_of(load_local(paths[-1], 'meta'))
        except (OSError, ValueError, LookupError, TypeError):
            return  # nothing that a run could be compared with
        if 'train_images' in there and _differ(there, record):
            self._object(
                f'{work_dir} holds checkpoints trained on {training_in_words(there)}, '
                f'this run trains on {training_in_words(record)} and would replace '
                'them',
                'give another --work-dir, or',
            )

    def _check_test(self, meta: dict[str, Any], ids: dict[str, str]) -> None:
        known = trained_on(meta, ids)
        if known is None:
            if ids:
                _warn('the checkpoint does not say which images it was trained on')
        elif known:
            self._object(
                f'the checkpoint was trained on {len(known)} of these {len(ids)} '
                f'images ({some_of(known)}): on {training_in_words(meta)}',
                f'{_advice(meta)}, or',
            )

    def _check_resume(self, meta: dict[str, Any], record: dict[str, Any]) -> None:
        if 'train_images' not in meta:
            if record:
                _warn('the checkpoint does not say which fold it was trained with')
        elif _differ(meta, record):
            self._object(
                f'the run was trained on {training_in_words(meta)}, and would go on '
                f'with {training_in_words(record)}',
                'set FOLD and FTU_DATA as before, train in another --work-dir, or',
            )

    def _object(self, text: str, advice: str) -> None:
        if self.allow_other:
            _warn(text)
            return
        raise ValueError(f'{text}: {advice} {GO_ON}')


def _differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    keys = ('fold', 'folds_id', 'train_images')
    return any(one.get(key, '') != other.get(key, '') for key in keys)


def _advice(meta: dict[str, Any]) -> str:
    if meta.get('fold') is None:
        return 'test images that it has not seen'
    return f'test the fold that it held out (FOLD={meta["fold"]})'


def _warn(text: str) -> None:
    print_log(f'CheckFoldHook: {text}', 'current', logging.WARNING)
