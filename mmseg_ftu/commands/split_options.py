"""Options of a split that was made before, the same in all preparation tools."""

import argparse


def add_split_options(parser: argparse.ArgumentParser, table: str) -> None:
    """Add the options; ``mmseg_ftu.preparation.given_split`` says what they mean.

    Args:
        parser: Parser that gets the options.
        table: What the table with the column is called in the help.
    """
    add = parser.add_argument_group('a split that was made before').add_argument
    add(
        '--fold-column',
        default='',
        help=f'column of {table} with folds (0, 1, ...) or sets (train, val), instead '
        'of --folds',
    )
    add(
        '--val-ids',
        nargs='+',
        default=[],
        metavar='ID',
        help='ids of the validation set, which becomes fold 0, or a file with one a '
        'line; the others become fold 1',
    )
