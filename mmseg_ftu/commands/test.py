"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT --tta``."""

import argparse
import os
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options, take_cfg_options
from mmseg_ftu.commands.launcher import add_launcher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'config', help='path of the config, or mmseg_ftu::ftu/NAME.py of the package'
    )
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--work-dir', help='folder for logs')
    parser.add_argument(
        '--out', help='folder for predicted masks (0 and 1) and dice_per_image.csv'
    )
    parser.add_argument('--show', action='store_true', help='show each prediction')
    parser.add_argument(
        '--show-dir',
        help='folder for a picture of each image, ID.png: mask outlined in green, '
        'prediction in yellow',
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='how long --show waits (s)'
    )
    parser.add_argument(
        '--tta', action='store_true', help='average over the flipped views'
    )
    parser.add_argument(
        '--thresholds',
        metavar='FILE',
        help="file made by mmseg-ftu thresholds (default: the config's, that is the "
        "paper's); --cfg-options test_evaluator.thresholds.HPA.lung=0.2 goes over it",
    )
    add_cfg_options(parser)
    add_launcher(parser)


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.engine.runner import evaluate

    os.environ.setdefault('LOCAL_RANK', str(options.pop('local_rank')))
    evaluate(**take_cfg_options(options))
