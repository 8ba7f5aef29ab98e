#!/usr/bin/env python
"""Print how far the best colour threshold of each organ gets, beside a model's Dice."""

import argparse
import sys
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('data_root', type=Path, help='folder made by prepare_*.py')
    add('--fold', type=int, default=0, help='the held-out fold (%(default)s)')
    add('--result', type=Path, help='folder made by test.py --out, to set beside it')
    add('--out', type=Path, help='CSV to write')
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    # Not at the top, since it loads torch: --help and typing errors answer at once.
    from mmseg_ftu.evaluation.colour_baseline import compare_with_colour
    from mmseg_ftu.preparation.command import run_or_explain

    sys.exit(run_or_explain(compare_with_colour, **options))
