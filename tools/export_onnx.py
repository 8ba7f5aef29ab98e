#!/usr/bin/env python
"""Export a model to ONNX: ``python tools/export_onnx.py CONFIG CKPT OUT``."""

from mmseg_ftu.cli import run_tool

if __name__ == '__main__':
    run_tool('export_onnx')
