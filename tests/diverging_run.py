"""Two processes, of which only the second sees a loss that is not finite.

``torchrun --standalone --nproc_per_node=2 tests/diverging_run.py WORK_DIR``; each
writes the text of its error into ``WORK_DIR/stopped_<rank>``. With a further argument
``resume`` they go on, now without the loss, and write where they began and ended into
``WORK_DIR/resumed_<rank>``.
"""

import math
import sys
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from tiny_run import build, tiny_config


class SpoilLossHook(Hook):
    """Let the loss of iteration 3 (from 1) look like NaN in the second process."""

    priority = 'HIGHEST'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if get_rank() == 1 and runner.iter + 1 == 3:
            outputs['loss'] = torch.tensor(math.nan)


if __name__ == '__main__':
    folder = Path(sys.argv[1])
    resume = 'resume' in sys.argv
    config = tiny_config(folder, launcher='pytorch', custom_hooks=[], resume=resume)
    config.train_dataloader.batch_size = 2
    run = build(config)
    if not resume:
        run.register_hook(SpoilLossHook())
    try:
        run.train()
        if resume:
            text = f'{Path(run._load_from).name} {run.epoch}'
            (folder / f'resumed_{run.rank}').write_text(text)
    except FloatingPointError as error:
        (folder / f'stopped_{run.rank}').write_text(str(error))
        raise SystemExit(1) from None
