"""Prepare the HuBMAP + HPA competition's data for training; see docs/howto/data.md."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.preparation_options import add_run_options, add_split_options
from mmseg_ftu.commands.stain_options import add_stain_options

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('source', type=Path, help='folder with train.csv and train_images/<id>.tiff')
    add('target', type=Path, help='folder to write, beside the source')
    add('--size', type=int, default=768, help='longer side, px (%(default)s)')
    add(
        '--resized',
        action='store_true',
        help='the images are resized copies of those in train.csv',
    )
    add_run_options(parser, 'the folds')
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
