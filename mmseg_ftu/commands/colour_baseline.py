"""Print how far the best colour threshold of each organ gets, beside a model's Dice."""

import argparse
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('data_root', type=Path, help='folder made by prepare_*.py')
    add('--fold', type=int, default=0, help='the held-out fold (%(default)s)')
    add('--result', type=Path, help='folder made by test.py --out, to set beside it')
    add('--out', type=Path, help='CSV to write')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.evaluation.colour_baseline import compare_with_colour

    print(compare_with_colour(**options))
