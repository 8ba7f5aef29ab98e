#!/usr/bin/env python
"""Make the target of stain normalisation: a mosaic of the data's staining variations.

SRC is the competition's folder, a prepared folder or a folder of images. Writes
OUT.png, to look at, and OUT.json, which the other tools and StainNormalize take.
"""

import argparse
import os
import sys
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('source', type=Path, metavar='SRC')
    add('target', type=Path, metavar='OUT', help='with or without .png or .json')
    add(
        '--method',
        choices=('vahadane', 'macenko', 'reinhard'),
        default='vahadane',
        help='(%(default)s)',
    )
    add('--size', type=int, default=768, help='longer side, px (%(default)s)')
    add('--tiles', type=int, default=8, help='tiles a side (%(default)s)')
    add(
        '--tile-size',
        type=int,
        default=32,
        help='px, no more than --size; the mosaic at most 4096 px a side (%(default)s)',
    )
    add(
        '--compatible',
        action='store_true',
        help='measure strengths over all pixels, glass included, as staintools does',
    )
    add(
        '--workers',
        type=int,
        default=min(os.cpu_count() or 1, 16),
        help='threads, 0 for none beside the main one (%(default)s)',
    )
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    from mmseg_ftu.preparation.command import run_or_explain
    from mmseg_ftu.preparation.stain_target import make_stain_target

    sys.exit(run_or_explain(make_stain_target, **options))
