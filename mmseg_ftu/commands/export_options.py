"""Arguments that the commands of ``export`` share."""

import argparse

from mmseg_ftu.commands.cfg_options import add_cfg_options


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, its options and the checkpoint."""
    parser.add_argument(
        'config', help='path of the config, or mmseg_ftu::ftu/NAME.py of the package'
    )
    parser.add_argument('checkpoint', help='path or URL of the weights')
    add_cfg_options(parser)
