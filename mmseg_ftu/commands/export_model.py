"""Export a model folder, to share and to use: ``mmseg-ftu export model CKPT OUT``.

For example ``mmseg-ftu export model run/best.pth glomeruli --organ kidney --unit
glomerulus --author "Ada Example" --license CC-BY-4.0 --data "40 PAS regions of our
hospital" --data-license CC-BY-4.0 --scores scores/evaluation_groups.csv``.
"""

import argparse
from pathlib import Path
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options, take_cfg_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add = parser.add_argument
    add('checkpoint', help='path or URL of the weights')
    add('out', help='folder to write')
    add(
        '--config',
        help='path of the config (default: the one that training left beside the '
        'checkpoint)',
    )
    add('--overwrite', action='store_true', help='replace a model folder made before')
    add('--name', help='name of the model (default: that of the folder)')
    add(
        '--author',
        action='append',
        default=[],
        dest='authors',
        metavar='NAME',
        help='an author of the model; may be given several times',
    )
    add('--license', metavar='SPDX', help='licence of the weights, such as CC-BY-4.0')
    add('--data', metavar='TEXT', help='what the model was trained on')
    add('--data-license', metavar='SPDX', help='licence of the training data')
    add(
        '--scores',
        type=Path,
        metavar='FILE',
        help='evaluation_groups.csv of `evaluate`, of images that were not trained on',
    )
    add(
        '--image',
        action='append',
        default=[],
        type=Path,
        dest='images',
        metavar='FILE',
        help='image for a picture of the card; may be given several times',
    )
    add('--unit', metavar='CLASS', help='name of what is found (default: the organ)')
    add('--organ', help='organ of the images; chooses pixel size and threshold')
    add('--data-source', help='data source of the images; chooses the threshold')
    add(
        '--training-pixel-size',
        type=float,
        metavar='UM',
        help='pixel size of training, um/px (default: as the checkpoint says)',
    )
    add('--half', action='store_true', help='store float16 weights: half the size')
    add_cfg_options(parser)


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.export.model_folder import export_model

    export_model(**take_cfg_options(options))
