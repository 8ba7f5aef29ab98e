#!/usr/bin/env python
"""Score saved predictions: ``python tools/evaluate.py PRED GT --out DIR``."""

import argparse
from pathlib import Path

from label_options import add_label_options


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    layouts = 'folder of predictions, masks or prepared data, or a CSV of run lengths'
    add('prediction', type=Path, metavar='PRED', help=layouts)
    add('truth', type=Path, metavar='GT', help='the same kinds')
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
        help='leave out HD95, which takes most of the time',
    )
    add(
        '--pixel-size',
        type=float,
        metavar='UM',
        help="um/px of all images (the tables' by default)",
    )
    add('--fold', type=int, help='score this fold of a prepared folder only')
    add_label_options(parser, 'GT')
    add_label_options(parser, 'PRED', 'pred-')
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    # Not at the top, since it loads torch: --help and typing errors answer at once.
    from mmseg_ftu.evaluation.compare import evaluate_predictions

    try:
        print(evaluate_predictions(**options))
    except (ValueError, OSError) as error:
        raise SystemExit(f'error: {error}') from None
