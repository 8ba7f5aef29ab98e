"""Train a segmentor: ``python tools/train.py configs/ftu/coat_daformer_switch.py``."""

import argparse
import os
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options, take_cfg_options
from mmseg_ftu.commands.launcher import add_launcher

STOPPED = 'stopped; --resume goes on from the last checkpoint, if one was saved'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'config', help='path of the config, or mmseg_ftu::ftu/NAME.py of the package'
    )
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints (default: work_dirs/CONFIG/fold_FOLD)',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the latest checkpoint in the work dir',
    )
    parser.add_argument(
        '--epochs',
        type=int,
        help="number of epochs; the config's schedules are made as long",
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on an accelerator, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='torch.compile: minutes at the start, faster steps on a GPU; needs a C++ '
        'compiler',
    )
    add_cfg_options(parser)
    add_launcher(parser)


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.engine.runner import train

    os.environ.setdefault('LOCAL_RANK', str(options.pop('local_rank')))
    train(**take_cfg_options(options))
