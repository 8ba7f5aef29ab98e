"""Fit thresholds: ``python tools/fit_thresholds.py GT PRED ... --out FILE``."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.label_options import add_label_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
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


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.evaluation.fit_thresholds import fit_and_write

    print(fit_and_write(**options))
