#!/usr/bin/env python
"""Fit thresholds: ``python tools/fit_thresholds.py GT PRED ... --out FILE``."""

import argparse
from pathlib import Path

from label_options import add_label_options


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add('truth', type=Path, metavar='GT', help='prepared folder, masks or CSV')
    add(
        'predictions',
        type=Path,
        nargs='+',
        metavar='PRED',
        help='folders with probabilities of held-out images, for example one a fold',
    )
    add('--out', type=Path, required=True, help='JSON to write')
    add_label_options(parser, 'GT')
    return parser.parse_args()


if __name__ == '__main__':
    options = vars(parse_args())
    # Not at the top, since it loads torch: --help and typing errors answer at once.
    from mmseg_ftu.evaluation.fit_thresholds import fit_and_write

    try:
        print(fit_and_write(**options))
    except (ValueError, OSError) as error:
        raise SystemExit(f'error: {error}') from None
