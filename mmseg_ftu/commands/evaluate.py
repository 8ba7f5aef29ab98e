"""Score saved predictions: ``python tools/evaluate.py PRED GT --out DIR``."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.label_options import add_label_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    layouts = 'folder of predictions, masks or prepared data, or a CSV of run lengths'
    add('prediction', type=Path, metavar='PRED', help=layouts)
    add('truth', type=Path, metavar='GT', help='ground truth, in the same layouts')
    add('--out', type=Path, help='folder for evaluation.csv, evaluation_groups.csv')
    add(
        '--missing',
        choices=('error', 'skip', 'empty'),
        default='error',
        help='what to do with images of GT that PRED lacks (%(default)s)',
    )
    add(
        '--no-hd95',
        dest='with_hd95',
        action='store_false',
        help='leave out HD95 (and the Hausdorff distance of units), which takes most '
        'of the time',
    )
    add(
        '--units',
        action='store_true',
        help='score units, too: F1 at IoU .5, panoptic quality, the measures of the '
        'GlaS contest, error of the count',
    )
    add(
        '--instances',
        action='store_true',
        help='take the labels of GT for units (instance maps), which may touch',
    )
    add(
        '--pred-instances',
        action='store_true',
        help='take the labels of PRED for units (instance maps), which may touch',
    )
    add(
        '--pixel-size',
        type=float,
        metavar='UM',
        help="pixel size of all images, um/px (the tables' by default)",
    )
    add('--fold', type=int, help='score this fold of a prepared folder only')
    add_label_options(parser, 'GT')
    add_label_options(parser, 'PRED', 'pred-')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.evaluation.evaluate import evaluate_predictions

    print(evaluate_predictions(**options))
