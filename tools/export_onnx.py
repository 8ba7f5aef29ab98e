#!/usr/bin/env python
"""Export a model to ONNX: ``python tools/export_onnx.py CONFIG CKPT OUT``."""

import argparse

from mmengine.config import DictAction

from mmseg_ftu.onnx_export import export_onnx


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('out', help='the .onnx file to write')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings: a.b=1',
    )
    return parser.parse_args()


if __name__ == '__main__':
    export_onnx(**vars(parse_args()))
