"""Write synthetic tissue in the competition's layout, for running without Kaggle."""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('target', type=Path, help='folder to write; new, empty or made by this tool')
    add('--images', type=int, default=40, help='number of images (%(default)s)')
    add('--size', type=int, default=768, help='width and height, px (%(default)s)')
    add('--seed', type=int, default=0, help='seed of the pictures (%(default)s)')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.sample_tissue import write_sample_data

    print(write_sample_data(**options))
