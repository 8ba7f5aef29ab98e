"""Write synthetic tissue in the competition's layout, for running without Kaggle."""

import argparse
import sys
from pathlib import Path


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('target', type=Path, help='folder to write; new, empty or made by this tool')
    add('--images', type=int, default=40, help='number of images (%(default)s)')
    add('--size', type=int, default=768, help='width and height, px (%(default)s)')
    add('--seed', type=int, default=0, help='seed of the pictures (%(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    # Not at the top, since it loads torch: --help and typing errors answer at once.
    from mmseg_ftu.preparation.command import run_or_explain
    from mmseg_ftu.preparation.sample_tissue import write_sample_data

    sys.exit(run_or_explain(write_sample_data, **options))
