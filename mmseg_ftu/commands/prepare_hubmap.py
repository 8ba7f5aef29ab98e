"""Prepare the HuBMAP + HPA competition's data for training; see docs/data.md."""

import argparse
import os
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.split_options import add_split_options
from mmseg_ftu.commands.stain_options import add_stain_options

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('source', type=Path, help='folder with train.csv and train_images/<id>.tiff')
    add('target', type=Path, help='folder to write, beside the source')
    add('--size', type=int, default=768, help='longer side, px (%(default)s)')
    add('--folds', type=int, default=5, help='number of folds (%(default)s)')
    add('--seed', type=int, default=0, help='seed of the folds (%(default)s)')
    add(
        '--resized',
        action='store_true',
        help='the images are resized copies of those in train.csv',
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
    add_split_options(parser, 'train.csv')
    add_stain_options(parser)


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.preparation.competition import prepare_hubmap
    from mmseg_ftu.preparation.given_split import GivenSplit
    from mmseg_ftu.preparation.staining import take_stain_options

    names = ('fold_column', 'val_ids')
    split = GivenSplit.of(**{name: options.pop(name) for name in names})
    print(prepare_hubmap(**take_stain_options(options), split=split))
