"""Make the target of stain normalisation: a mosaic of the data's staining variations.

SRC is the competition's folder, a prepared folder or a folder of images. Writes
OUT.png, to look at, and OUT.json, which the other tools and StainNormalize take.
"""

import argparse
import os
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        'source',
        type=Path,
        metavar='SRC',
        help='competition folder, prepared folder or folder of images',
    )
    add(
        'target',
        type=Path,
        metavar='OUT',
        help='files to write, with or without .png or .json',
    )
    add(
        '--method',
        choices=('vahadane', 'macenko', 'reinhard'),
        default='vahadane',
        help='method of normalisation (%(default)s)',
    )
    add(
        '--size',
        type=int,
        default=768,
        help='longer side that images are brought to, px (%(default)s)',
    )
    add('--tiles', type=int, default=8, help='tiles a side (%(default)s)')
    add(
        '--tile-size',
        type=int,
        default=32,
        help='side of a tile, px, no more than --size; the mosaic has at most 4096 px '
        'a side (%(default)s)',
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


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.preparation.stain_target import make_stain_target

    print(make_stain_target(**options))
