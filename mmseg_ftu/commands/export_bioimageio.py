"""Export a model for QuPath, deepImageJ and ilastik: ``mmseg-ftu export bioimageio``.

For example ``mmseg-ftu export bioimageio CONFIG CHECKPOINT --out model.zip --author
"Ada Example" --license CC-BY-4.0 --organ kidney --unit Glomerulus``.
"""

import argparse
from typing import Any

from mmseg_ftu.commands.cfg_options import take_cfg_options
from mmseg_ftu.commands.export_options import add_model_arguments, take_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model_arguments(parser)
    add = parser.add_argument
    add('--out', required=True, metavar='FILE', help='the .zip file to write')
    add('--overwrite', action='store_true', help='replace a package made before')
    add(
        '--author',
        action='append',
        required=True,
        dest='authors',
        metavar='NAME',
        help='an author of the model; may be given several times',
    )
    add(
        '--license',
        required=True,
        metavar='SPDX',
        help='licence of the weights, such as CC-BY-4.0; the training data may bind it',
    )
    add('--name', help="name of the model (default: the config's)")
    add('--unit', metavar='CLASS', help='name of what is found (default: the organ)')
    add('--organ', help='organ of the images; chooses the pixel size')
    add(
        '--data-source',
        help='data source of the images; with the organ it chooses the threshold',
    )
    add(
        '--training-pixel-size',
        type=float,
        metavar='UM',
        help='pixel size of training, um/px (default: as the checkpoint says)',
    )
    add(
        '--image',
        metavar='FILE',
        help='image at the pixel size of training, for the test tensors and the '
        'picture; it goes into the package (default: synthetic tissue)',
    )
    add('--onnx', action='store_true', help='add ONNX weights')
    add(
        '--without-stain-step',
        action='store_true',
        help='export a model of stain-normalised images, which the package cannot do',
    )


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.export.bioimageio import export_bioimageio

    export_bioimageio(**take_cfg_options(take_model(options)))
