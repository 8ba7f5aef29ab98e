#!/usr/bin/env python
"""Train a segmentor: ``python tools/train.py configs/ftu/coat_daformer_switch.py``."""

import argparse
import os

from mmengine.config import DictAction

from mmseg_ftu.apis import train


def parse_args() -> argparse.Namespace:
    """Read the command line; the arguments are those of mmseg's tools/train.py."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the latest checkpoint in the work dir',
    )
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision (needs an accelerator)'
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
    try:
        train(**args)
    except FloatingPointError as error:
        raise SystemExit(f'error: {error}') from None
