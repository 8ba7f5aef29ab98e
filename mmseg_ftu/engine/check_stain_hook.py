"""Refuse to test a model on data whose stains were normalised in another way."""

import logging

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ftu.engine.safe_checkpoints import dataset_meta_of

UNKNOWN = 'unknown'


@HOOKS.register_module()
class CheckStainHook(Hook):
    """Compare the stain normalisation that a checkpoint was trained with.

    A checkpoint carries ``metainfo['stain']`` of its training data; see
    ``HuBMAPDataset``. Runs when a checkpoint is loaded (``after_load_checkpoint``): a
    test or a resumed training is refused, weights to start from (``load_from``) are
    reported. Checkpoints that say nothing pass, with a line in the log.

    Args:
        allow_other: Report a difference, but go on.

    Raises:
        ValueError: The data differ.
    """

    def __init__(self, allow_other: bool = False):
        self.allow_other = allow_other

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the data at hand."""
        meta = dataset_meta_of(checkpoint)
        trained = meta.get('stain', UNKNOWN)
        testing = not isinstance(runner._test_loop, (dict, type(None)))
        loop = runner.test_loop if testing else runner.train_loop
        here = loop.dataloader.dataset.metainfo.get('stain', UNKNOWN)
        if trained == here:
            return
        text = (
            f'the checkpoint was trained on stains {trained!r}, these data have '
            f'{here!r}'
        )
        strict = testing or runner._resume
        if UNKNOWN in (trained, here) or self.allow_other or not strict:
            print_log(f'CheckStainHook: {text}', 'current', logging.WARNING)
            return
        raise ValueError(
            f'{text}: prepare them in the same way (--stain, --stain-target), or go on '
            'with --cfg-options default_hooks.check_stain.allow_other=True'
        )
