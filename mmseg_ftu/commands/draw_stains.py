"""Draw images of each organ before and after stain normalisation, and the target."""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('source', type=Path, help='competition folder, prepared folder or images')
    add(
        'target',
        type=Path,
        help='target: the .json of make_stain_target.py, or an image',
    )
    add('output', type=Path, help='the PNG to write')
    add('--per-group', type=int, default=2, help='images of each organ (%(default)s)')
    add('--size', type=int, default=256, help='side of a picture, px (%(default)s)')
    add(
        '--fit-size',
        type=int,
        default=768,
        help='longer side to normalise at, px (%(default)s)',
    )


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.preparation.stain_figure import draw_stains

    print(draw_stains(**options))
