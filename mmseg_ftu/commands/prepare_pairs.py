"""Prepare a folder of images and masks for training; see docs/howto/data.md."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.preparation_options import add_run_options, add_split_options
from mmseg_ftu.commands.stain_options import add_stain_options

STOPPED = 'stopped; run the same command again to go on'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('source', type=Path, help='folder of the data set')
    add('target', type=Path, help='folder to write, beside the source')
    add('--size', type=int, help='longer side, px (default: as it is)')
    add(
        '--empty',
        choices=('refuse', 'keep', 'skip'),
        default='refuse',
        help='what to do with images without foreground (%(default)s)',
    )
    add_run_options(parser, 'the folds')
    add_meaning(parser.add_argument_group('images and masks (paths in the source)'))
    add_split_options(parser, 'the table')
    add_stain_options(parser)


def add_meaning(group: argparse._ArgumentGroup) -> None:
    """Add where images and masks are and what they mean."""
    add = group.add_argument
    add('--images', default='images', help='folder of images (%(default)s)')
    add(
        '--masks',
        default='masks',
        help="folder of masks, or a file of COCO's format, .json (%(default)s)",
    )
    add('--mask-suffix', default='', help="end of the masks' names, such as _mask")
    add(
        '--foreground',
        nargs='+',
        default=['auto'],
        metavar='LABEL',
        help='labels that are foreground; nonzero: all but 0, as in instance maps; '
        'auto (default): the same, but refuse masks that have 255 and other labels; '
        'of COCO, names or ids of categories (default: all)',
    )
    add(
        '--ignore',
        type=int,
        metavar='LABEL',
        help='label that is ignored; of COCO, id of a category',
    )
    add('--index', default='', help='csv table with one row an image')
    add('--id-column', default='id', help='column of names in the table (%(default)s)')
    add(
        '--group-column',
        default='',
        help='column of patients, whose images stay in one fold',
    )
    organ = group.add_mutually_exclusive_group(required=True)
    organ.add_argument('--organ', default='', help='organ of all images')
    organ.add_argument(
        '--organ-column', default='', help='column of organs in the table'
    )
    add('--data-source', default='own', help='name of the data set (%(default)s)')
    add('--pixel-size', default='', help='pixel size of all images, um/px, if known')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.preparation.pairs import prepare_pairs_of
    from mmseg_ftu.preparation.staining import take_stain_options

    print(prepare_pairs_of(**take_stain_options(options)))
