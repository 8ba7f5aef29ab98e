"""Export a model to ONNX: ``python tools/export_onnx.py CONFIG CKPT OUT``."""

import argparse
from typing import Any

from mmseg_ftu.commands.cfg_options import add_cfg_options, take_cfg_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'config', help='path of the config, or mmseg_ftu::ftu/NAME.py of the package'
    )
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('out', help='the .onnx file to write')
    add_cfg_options(parser)


def run(**options: Any) -> None:
    """Run the command."""
    import mmseg_ftu.plugin  # noqa: F401 (first: it keeps imports quiet)
    from mmseg_ftu.export.onnx import export_onnx

    export_onnx(**take_cfg_options(options))
