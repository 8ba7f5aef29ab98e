#!/usr/bin/env python
"""Write a report on predictions: one HTML page with scores, images and curves."""

import argparse
from pathlib import Path

from label_options import add_label_options

from mmseg_ftu.report import write_report


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'folder', type=Path, help='made by predict.py or test.py --out, or any masks'
    )
    parser.add_argument(
        '--gt', type=Path, help='ground truth: prepared folder, masks, or train.csv'
    )
    parser.add_argument(
        '--run', type=Path, help='--work-dir of the training, for learning curves'
    )
    parser.add_argument('--out', type=Path, help='default: report.html in the folder')
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
    return parser.parse_args()


if __name__ == '__main__':
    args = parse_args()
    try:
        page = write_report(
            *(args.folder, args.gt, args.run, args.out, args.images, args.thumbnail),
            foreground=args.foreground,
            ignore=args.ignore,
            pred_foreground=args.pred_foreground,
            pred_ignore=args.pred_ignore,
        )
    except ValueError as error:
        raise SystemExit(f'error: {error}') from None
    print(f'wrote {page} ({page.stat().st_size / 1e6:.1f} MB)')
