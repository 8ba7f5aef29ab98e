"""Measure the units of masks or outlines: ``python tools/units.py MASKS --out DIR``."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.label_options import add_label_options
from mmseg_ftu.commands.split_options import add_split_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add(
        'masks',
        type=Path,
        metavar='MASKS',
        help='folder of predictions, masks or prepared data, a CSV of run lengths, or '
        'GeoJSON (a file or a folder)',
    )
    add('--out', type=Path, required=True, metavar='DIR', help='folder for the tables')
    add(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images, for the area of tissue and the pixel size',
    )
    add(
        '--pixel-size',
        type=float,
        nargs='+',
        metavar='UM',
        help='width and height of a pixel, um, or one number for both (default: what '
        'the table says, else the image)',
    )
    add('--organ', help="organ of all images (default: the table's)")
    add('--class', dest='class_name', help='name of the units (default: by organ)')
    add(
        '--instances',
        action='store_true',
        help='take each label for a unit (instance maps), also where they touch',
    )
    add(
        '--fill-holes', dest='fill', action='store_true', help='fill the holes of units'
    )
    add('--max-hole-um2', type=float, help='largest hole to fill, um2 (default: any)')
    add('--min-area-um2', type=float, help='area below which units are dropped, um2')
    add('--min-area-px', type=float, help='area below which units are dropped, px')
    add_split_options(add)
    add_label_options(parser, 'MASKS')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.units.measure_masks import measure_masks

    print(measure_masks(**options))
