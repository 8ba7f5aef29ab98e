"""Write a report on predictions: one HTML page with scores, images and curves."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.label_options import add_label_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'folder',
        type=Path,
        help='folder made by predict.py or test.py --out, or any masks',
    )
    parser.add_argument(
        '--gt', type=Path, help='ground truth: prepared folder, masks, or train.csv'
    )
    parser.add_argument(
        '--run', type=Path, help='work dir of the training, for learning curves'
    )
    parser.add_argument(
        '--out', type=Path, help='page to write (default: report.html in the folder)'
    )
    parser.add_argument(
        '--images',
        type=int,
        default=3,
        help='how many of the worst and of the best of each organ (default 3)',
    )
    parser.add_argument(
        '--thumbnail',
        type=int,
        default=512,
        help='longer side of the pictures, px (default 512)',
    )
    add_label_options(parser, 'the ground truth')
    add_label_options(parser, 'the predictions', 'pred-')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.report import write_report

    options = dict(options, ground_truth=options.pop('gt'))
    options = dict(options, work_dir=options.pop('run'), output=options.pop('out'))
    page = write_report(**options)
    print(f'wrote {page} ({page.stat().st_size / 1e6:.1f} MB)')
