"""Options of stain normalisation, the same in both preparation tools."""

import argparse
from pathlib import Path


def add_stain_options(parser: argparse.ArgumentParser) -> None:
    """Add the options; ``mmseg_ftu.preparation.staining`` says what they mean."""
    add = parser.add_argument_group('stain normalisation').add_argument
    add(
        '--stain',
        choices=('vahadane', 'macenko', 'reinhard'),
        help='method of normalisation',
    )
    add(
        '--stain-target',
        type=Path,
        metavar='FILE',
        help='target: the .json of mmseg-ftu stain-target, or an image to fit',
    )
    add(
        '--stain-order',
        choices=('resize-first', 'stain-first'),
        default='resize-first',
        help='order of resizing and normalisation (%(default)s, as in inference)',
    )
    add(
        '--stain-failure',
        choices=('identity', 'target'),
        default='identity',
        help='images that cannot be fitted stay as they are (identity) or take the '
        "target's stains for theirs (target); default: %(default)s",
    )
