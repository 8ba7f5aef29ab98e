"""Look at predictions: a local page with zoomable slides and the units over them.

The page is served to this machine only, at 127.0.0.1, until Ctrl-C.
"""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.label_options import add_label_options

STOPPED = 'stopped; the page in the browser shows nothing new any more'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('folder', type=Path, metavar='OUT', help='folder that predict wrote')
    add(
        '--gt',
        type=Path,
        help='ground truth to draw, too: prepared folder, masks, train.csv or GeoJSON',
    )
    add(
        '--images',
        type=Path,
        metavar='DIR',
        help='folder of the images, where they have been moved (default: their places '
        'when they were predicted)',
    )
    add(
        '--port',
        type=int,
        help='port of 127.0.0.1; 0: any that is free (default: 8642, or any if that is '
        'in use)',
    )
    add(
        '--no-browser',
        dest='browser',
        action='store_false',
        help='open no browser; the address is printed',
    )
    add_label_options(parser, 'the ground truth')


def run(**options: Any) -> None:
    """Run the command."""
    from mmseg_ftu.view.view_predictions import view_predictions

    for option in ('foreground', 'ignore'):
        if options['gt'] is None and options[option] not in (None, ['auto']):
            raise ValueError(f'--{option} says what labels of --gt mean: give --gt')
    view_predictions(**dict(options, ground_truth=options.pop('gt')))
