"""Arguments that the commands of ``export`` share."""

import argparse
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, its options and the checkpoint."""
    parser.add_argument(
        'config',
        help='path of the config, mmseg_ftu::ftu/NAME.py of the package, or a model '
        'folder',
    )
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='path or URL of the weights; none for those of a model folder',
    )
    add_cfg_options(parser)


def take_model(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with the checkpoint of a model folder, where none is given."""
    from mmseg_ftu.engine.model_folder import own_weights

    if options['checkpoint'] is not None:
        return options
    (checkpoint,) = own_weights(options['config'])
    return {**options, 'checkpoint': str(checkpoint)}
