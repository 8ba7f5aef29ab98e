#!/usr/bin/env python
"""Draw images of each organ before and after stain normalisation, and the target."""

import argparse
import sys
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('source', type=Path, help='competition folder, prepared folder or images')
    add('target', type=Path, help='.json of make_stain_target.py, or an image')
    add('output', type=Path, help='the PNG to write')
    add('--per-group', type=int, default=2, help='images of each organ (%(default)s)')
    add('--size', type=int, default=256, help='side of a picture, px (%(default)s)')
    add('--fit-size', type=int, default=768, help='normalise at, px (%(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    from mmseg_ftu.preparation.command import run_or_explain
    from mmseg_ftu.preparation.stain_figure import draw_stains

    sys.exit(run_or_explain(draw_stains, **options))
