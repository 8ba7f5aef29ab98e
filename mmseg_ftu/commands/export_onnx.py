"""Export a model to ONNX: ``mmseg-ftu export onnx CONFIG CHECKPOINT --out FILE``."""

import argparse
from typing import Any

from mmseg_ftu.commands.cfg_options import take_cfg_options
from mmseg_ftu.commands.export_options import add_model_arguments, take_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_model_arguments(parser)
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument('--out', metavar='FILE', help='the .onnx file to write')
    place.add_argument(
        'file', nargs='?', metavar='FILE', help='the .onnx file to write, without --out'
    )


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.export.onnx import export_onnx

    file = options.pop('file')
    options = take_model({**options, 'out': options['out'] or file})
    export_onnx(**take_cfg_options(options))
