"""Prepare the HuBMAP + HPA competition's data for training; see docs/data.md."""

import argparse
import os
import sys
from pathlib import Path

from stain_options import add_stain_options


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('source', type=Path, help='folder with train.csv and train_images/<id>.tiff')
    add('target', type=Path, help='folder to write, beside the source')
    add('--size', type=int, default=768, help='longer side, px (%(default)s)')
    add('--folds', type=int, default=5, help='number of folds (%(default)s)')
    add('--seed', type=int, default=0, help='seed of the folds (%(default)s)')
    add(
        '--resized',
        action='store_true',
        help='the images are resized copies of what train.csv speaks of',
    )
    add(
        '--workers',
        type=int,
        default=min(os.cpu_count() or 1, 16),
        help='threads, 0 for none beside the main one (%(default)s)',
    )
    add(
        '--overwrite',
        action='store_true',
        help='change the settings of a folder that was prepared before',
    )
    add_stain_options(parser)
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    # Not at the top, since it loads torch: --help and typing errors answer at once.
    from mmseg_ftu.preparation.command import run_or_explain
    from mmseg_ftu.preparation.competition import prepare_hubmap
    from mmseg_ftu.preparation.staining import take_stain_options

    def prepare(**options) -> str:
        """Prepare, with the options of stain normalisation as one."""
        return prepare_hubmap(**take_stain_options(options))

    sys.exit(run_or_explain(prepare, **options))
