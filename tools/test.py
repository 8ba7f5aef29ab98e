#!/usr/bin/env python
"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT --tta``."""

import argparse
import os

from mmengine.config import DictAction

from mmseg_ftu.apis import evaluate


def parse_args() -> argparse.Namespace:
    """Read the command line; the arguments are those of mmseg's tools/test.py."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
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
        help="made by tools/fit_thresholds.py (the config's, that is the paper's, by "
        'default); --cfg-options test_evaluator.thresholds.HPA.lung=0.2 goes over it',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings: a.b=1 lists="[1,2]" hooks.0.begin=3',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser.parse_args()


if __name__ == '__main__':
    args = vars(parse_args())
    os.environ.setdefault('LOCAL_RANK', str(args.pop('local_rank')))
    evaluate(**args)
