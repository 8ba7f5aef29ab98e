"""Options that all preparation tools share."""

import argparse
import os


def add_run_options(parser: argparse.ArgumentParser, seed: str) -> None:
    """Add folds, seed, threads and ``--overwrite``.

    Args:
        parser: Parser that gets the options.
        seed: What the seed is of, for the help.
    """
    add = parser.add_argument
    add('--folds', type=int, default=5, help='number of folds (%(default)s)')
    add('--seed', type=int, default=0, help=f'seed of {seed} (%(default)s)')
    add(
        '--workers',
        type=int,
        default=min(os.cpu_count() or 1, 16),
        help='threads, 0 for none beside the main one (%(default)s)',
    )
    add(
        '--overwrite',
        action='store_true',
        help='change the settings of a folder that was prepared before',
    )


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
